"""Random numbers: always drawn on the host, so that one seed means the same draws on every backend."""

import numpy as np

from xpmlp.common.validation import check_number

STREAMS = ("weights", "order", "steps", "dropout", "parts", "candidates", "folds", "frequencies")


def make_generator(seed: int, stream: str, *numbers: int) -> np.random.Generator:
    """Return the generator of one purpose: what one draws does not move what the others draw.

    Parameters
    ----------
    seed : int
        Of the whole run; not negative.
    stream : {"weights", "order", "steps", "dropout", "parts", "candidates", "folds", "frequencies"}
        What the numbers are for: initial weights, the order of examples, the steps of a gradient check, the keys of
        dropout masks, the parts of data that are read in blocks, the candidates of a search, the folds in which the
        categories of a table are encoded, or the frequencies and phases of an embedding.
    *numbers : int
        Above 0: what tells several generators of one purpose apart, such as the epoch.

    Raises
    ------
    InputError
        For a seed that is no integer or negative.
    """
    check_number("seed", seed, at_least=0, integer=True)
    return np.random.default_rng((int(seed), STREAMS.index(stream), *numbers))
