"""Memory through which examples get to a device while others are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from xpmlp.common.types import Array


@dataclass
class StagingBuffer:
    """An array of the host that is filled again and again, and its place on the device.

    Attributes
    ----------
    host : ndarray
        The array, which may be another one after it was sent.
    send : callable
        ``send(n)`` gives its first `n` rows to the device: when it returns, they are there, and `host` may be filled
        again. Where host and device are one, it may be once the work on these rows is done, as everywhere before the
        next ``send``.
    """

    host: np.ndarray
    send: Callable[[int], Array]
