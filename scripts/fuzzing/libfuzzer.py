"""One run of libFuzzer, through atheris, on one target: `python -m fuzzing.libfuzzer TARGET FOLDER [ITS OPTIONS]`.

It is a process of its own, since libFuzzer ends the one it runs in, and since what it follows must be imported under
its eyes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris


def main() -> None:
    """Write the valid files into FOLDER/corpus, and fuzz from there."""
    _, name, place, *options = sys.argv
    with atheris.instrument_imports(include=["xpmlp", "gzip", "zipfile", "numpy.lib", "safetensors"]):
        from fuzzing.targets import TARGETS  # noqa: PLC0415 - see above
    folder, target = Path(place), TARGETS[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(target.seeds(folder)):
        (corpus / f"{number}").write_bytes(content)
    atheris.Setup([name, *options, str(corpus)], lambda content: target.read(content, folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
