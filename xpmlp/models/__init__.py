"""A trained model, its file, the checkpoints of a run, and exports to other programs.

It imports `common`, `backends`, `nn`, `data` and `training`.
"""
