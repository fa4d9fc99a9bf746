"""Data sets by name and from files, data larger than memory, preprocessing, and minibatches of their examples.

It imports `common` and `backends`; what is at its level, `nn`, it does not know.
"""
