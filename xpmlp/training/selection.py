"""Ensemble selection: which of many predictions are worth averaging (Caruana et al., 2004)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.rng import make_generator
from xpmlp.nn.mixtures import of_moments

if TYPE_CHECKING:
    from xpmlp.common.types import Namespace
    from xpmlp.nn.losses import Loss

MAX_SELECTED = 32  # as in TabPack
FIRST_SELECTED = 3  # the best by themselves come first, so that chance has less to choose from


def select(
    xp: Namespace, loss: Loss, candidates: np.ndarray, T: np.ndarray, weights: np.ndarray | None = None
) -> tuple[list[int], float]:
    """Choose predictions whose mean has a low loss, one after the other.

    The three that are best by themselves come first, and then each time the one that lowers the loss most, until none
    does (Caruana et al., 2004, "Ensemble selection from libraries of models"; none is taken twice).

    Parameters
    ----------
    xp : namespace
        NumPy's, as a backend has it.
    loss : Loss
        Of the mixture.
    candidates : ndarray of shape (C, n, m)
        What each predicts for n examples, as `moments` of the loss.
    T : ndarray of shape (n, m)
        Targets.
    weights : ndarray of shape (n, 1), optional
        What each example counts.

    Returns
    -------
    chosen : list of int
        Numbers of candidates, at most 32; none where no loss is a finite number.
    value : float
        The mean loss of their mixture.

    Examples
    --------
    The mean of the first and the last is right, and the second is right by itself:

    >>> import numpy as np
    >>> from xpmlp import get_backend
    >>> from xpmlp.nn.losses import LOSSES
    >>> from xpmlp.training.selection import select
    >>> xp, T = get_backend("numpy").xp, np.array([[0.0], [0.0]])
    >>> select(xp, LOSSES["squared_error"], np.array([[[1.0], [1.0]], [[0.0], [0.0]], [[-1.0], [-1.0]]]), T)
    ([1, 0, 2], 0.0)
    """
    total_weight = T.shape[0] if weights is None else weights.sum()

    def losses(mean: np.ndarray) -> np.ndarray:
        return np.asarray(loss.value(xp, of_moments(xp, loss, mean), T, weights) / total_weight)

    alone = losses(candidates)
    able = np.flatnonzero(np.isfinite(alone))
    if able.size == 0:
        return [], math.inf
    chosen: list[int] = able[np.argsort(alone[able], kind="stable")][:FIRST_SELECTED].tolist()
    total = candidates[chosen].sum(axis=0)
    value = float(losses(total[None] / len(chosen))[0])
    while len(chosen) < min(MAX_SELECTED, len(able)):
        left = np.setdiff1d(able, chosen)
        with_each = losses((total + candidates[left]) / (len(chosen) + 1))
        place = int(np.argmin(with_each))
        if not with_each[place] < value:
            break
        value = float(with_each[place])
        chosen.append(int(left[place]))
        total = total + candidates[left[place]]
    return chosen, value


def assign_folds(T: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Draw the fold of each example, (n,): each class of one-hot targets, (n, m), or of one label, is in all folds."""
    n, rng = T.shape[0], make_generator(seed, "folds", 1)
    order = rng.permutation(n)
    if np.isin(T, (0, 1)).all() and (T.shape[1] == 1 or (T.sum(axis=1) == 1).all()):
        place = np.arange(T.shape[1]) + 1.0  # of each class
        order = order[np.argsort((T * place).sum(axis=1)[order], kind="stable")]
    folds = np.empty(n, np.int64)
    folds[order] = np.arange(n) % n_folds
    return folds
