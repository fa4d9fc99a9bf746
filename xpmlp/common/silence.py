"""NumPy without its warnings, where who looks at the results says more."""

from contextvars import Context, copy_context

import numpy as np


def silent_context() -> Context:
    """Return a context in which NumPy tells of no overflow and no NaN: ``context.run(function, *arguments)``.

    NumPy keeps in the context what `numpy.errstate` sets. To run in one takes a tenth of the time of setting it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return copy_context()
