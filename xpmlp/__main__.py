"""`python -m xpmlp` and the command `xpmlp`."""

from xpmlp.cli import main

if __name__ == "__main__":
    main()
