"""What the sets of a training are refused for, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_features
from xpmlp.data.examples import QuantizedExamples, StreamedExamples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import Examples
    from xpmlp.nn.network import Network

__all__ = ["check_sets"]


def check_sets(
    backend: Backend,
    network: Network,
    sets: Mapping[str, Examples],
) -> None:
    """Raise an `InputError` for examples or targets that do not fit the network or the backend, or are not finite."""
    for name, (X, T, _) in sets.items():
        if isinstance(X, StreamedExamples):
            _check_chunked(backend, name, network, X, T)
            continue
        if isinstance(X, QuantizedExamples):
            _check_scaled(backend, name, X)
        floating = X.scale[None, :] if isinstance(X, QuantizedExamples) else X
        _check_arrays(backend, name, floating, T)
        _check_shapes(name, network, X, T)
        _check_finite(backend, f"the {name} examples", floating)
        _check_finite(backend, f"the {name} targets", T)


def _check_arrays(backend: Backend, name: str, *arrays: Array) -> None:
    for array in arrays:
        if not (backend.holds(array) and backend.on_device(array) and array.dtype == backend.float_dtype):
            raise InputError(
                f"the {name} set has an array of {type(array).__module__}, {getattr(array, 'dtype', type(array))}, "
                f"but {backend!r} computes: put it there with `backend.asarray`."
            )


def _check_scaled(backend: Backend, name: str, X: QuantizedExamples) -> None:
    values, d = X.values, X.values.shape[1]
    if not (backend.holds(values) and backend.on_device(values) and backend.xp.isdtype(values.dtype, "integral")):
        raise InputError(f"the {name} examples are QuantizedExamples, but their values are no integers of {backend!r}.")
    if tuple(X.scale.shape) not in {(d,), (1,)}:
        raise InputError(f"the {name} examples have {d} features, but a scale of shape {tuple(X.scale.shape)}.")


def _check_chunked(backend: Backend, name: str, network: Network, X: StreamedExamples, T: Array | None) -> None:
    n_inputs, n_outputs = network.sizes[0], network.sizes[-1]
    if T is not None:
        raise InputError(f"the {name} examples come in chunks with targets of their own: give None for the targets.")
    if X.backend != backend:
        raise InputError(f"the {name} examples come in chunks on {X.backend!r}, but {backend!r} computes.")
    if (X.shape[1], X.n_outputs) != (n_inputs, n_outputs):
        raise InputError(
            f"the {name} examples come with {X.shape[1]} features and {X.n_outputs} targets each, but the network "
            f"takes {n_inputs} and gives {n_outputs}."
        )


def _check_finite(backend: Backend, name: str, array: Array) -> None:
    with backend.computing():
        finite = backend.to_numpy(backend.xp.all(backend.xp.isfinite(array))).item()
    if not finite:
        check_features(backend.to_numpy(array), name)


def _check_shapes(name: str, network: Network, X: Array | QuantizedExamples, T: Array) -> None:
    n_inputs, n_outputs = network.sizes[0], network.sizes[-1]
    if X.ndim != 2 or X.shape[1] != n_inputs:
        raise InputError(f"the {name} examples have shape {tuple(X.shape)}, but the network takes (n, {n_inputs}).")
    if X.shape[0] == 0:
        raise InputError(f"the {name} set has no examples: at least one is needed.")
    if tuple(T.shape) != (X.shape[0], n_outputs):
        raise InputError(
            f"the {name} targets have shape {tuple(T.shape)}, but {X.shape[0]} examples with {n_outputs} outputs "
            f"need ({X.shape[0]}, {n_outputs})."
        )
