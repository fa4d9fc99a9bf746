"""Periodic embeddings of numeric features (Gorishniy et al., 2022): what a network is given beside the features.

A feature x becomes the block [x, cos(w_1 x + c_1), ..., cos(w_k x + c_k)], with x itself as in PBLD (Holzmüller et al.,
2024); w and c are learnt. The linear map after it is the network's first layer. Other features, such as one-hot ones,
stay as they are.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from xpmlp.backends.elementwise import elementwise, fuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.common.types import Array, Namespace


def embed(
    xp: Namespace, columns: Sequence[int], embedding: tuple[Array, Array], X: Array
) -> tuple[Array, tuple[Array, Array]]:
    """Put the cosines of some features beside all features.

    Parameters
    ----------
    xp : namespace
        The array library of the arrays.
    columns : sequence of int
        The n features that are embedded, ascending.
    embedding : tuple of array of shape (n, k)
        Frequencies w and phases c; of a stack (M, n, k).
    X : array of shape (K, d)
        One example per row; of a stack also (M, K, d).

    Returns
    -------
    embedded : array of shape (K, d + n k)
        The features, then the k cosines of the first that is embedded, and so on.
    trace : tuple of array
        What `embed_backward` needs: the embedded features, (K, n, 1), and ``w x + c``, (K, n, k).
    """
    w, c = embedding
    parts = [X[..., span] for span in _spans(columns)]
    x = (parts[0] if len(parts) == 1 else xp.concat(parts, axis=-1))[..., None]
    z, cosines = fuse(xp, _periodic)(xp, x, w[..., None, :, :], c[..., None, :, :])
    rows = z.shape[:-2]
    blocks = xp.broadcast_to(X, (*rows, X.shape[-1])), xp.reshape(cosines, (*rows, -1))
    return xp.concat(blocks, axis=-1), (x, z)


def embed_backward(
    xp: Namespace,
    columns: Sequence[int],
    embedding: tuple[Array, Array],
    trace: tuple[Array, Array],
    delta: Array,
    *,
    input_gradient: bool = False,
) -> tuple[Array, Array, Array | None]:
    """Go back through `embed`, from dL by what it gave, (K, d + n k).

    Returns
    -------
    dw, dc : array of shape (n, k)
        dL/dw and dL/dc.
    dX : array of shape (K, d), or None
        dL/dX, if asked for.
    """
    (w, _), (x, z) = embedding, trace
    d = delta.shape[-1] - z.shape[-2] * z.shape[-1]
    dX, dcos = delta[..., :d], xp.reshape(delta[..., d:], z.shape)
    dz, dw = fuse(xp, _periodic_backward)(xp, dcos, z, x)
    gradients = _over_examples(xp, dw), _over_examples(xp, dz)
    if not input_gradient:
        return *gradients, None
    dx, parts, start, used = xp.sum(dz * w[..., None, :, :], axis=-1), [], 0, 0  # (K, n)
    for span in _spans(columns):
        until = used + span.stop - span.start
        parts += [dX[..., start : span.start], dX[..., span] + dx[..., used:until]]
        start, used = span.stop, until
    return *gradients, xp.concat([*parts, dX[..., start:]], axis=-1)


@elementwise()
def _periodic(xp: Namespace, x: Array, w: Array, c: Array) -> tuple[Array, Array]:
    """Return z = w x + c, and its cosine."""
    z = x * w
    z += c
    return z, xp.cos(z)


@elementwise()
def _periodic_backward(xp: Namespace, dcos: Array, z: Array, x: Array) -> tuple[Array, Array]:
    """Return dL/dz = -sin(z) dL/dcos, and what each example adds to dL/dw, which is that times x."""
    dz = -xp.sin(z)
    dz *= dcos
    return dz, dz * x


def _over_examples(xp: Namespace, p: Array) -> Array:
    """Sum over the examples, (K, n, k), as rows: so each library sums the columns of a matrix."""
    *rows, n, k = p.shape
    return xp.reshape(xp.sum(xp.reshape(p, (*rows, n * k)), axis=-2), (*rows[:-1], n, k))


def _spans(columns: Sequence[int]) -> Iterator[slice]:
    """Give columns in ascending order as slices, one for each run of neighbours."""
    for _, pairs in groupby(enumerate(columns), lambda pair: pair[1] - pair[0]):
        run = [column for _, column in pairs]
        yield slice(run[0], run[-1] + 1)
