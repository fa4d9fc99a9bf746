"""What every wing uses: errors, types, validation, files, optional packages, wording of messages, seeded generators.

It imports no other wing.
"""
