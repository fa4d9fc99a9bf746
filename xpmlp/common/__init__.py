"""What every wing uses: errors, types, validation, files, optional packages, wording, what is shown, seeded generators.

It imports no other wing.
"""
