"""What every wing uses: errors, types, validation, files, optional packages, wording of messages, what consoles
and notebooks show of things, seeded generators.

It imports no other wing.
"""
