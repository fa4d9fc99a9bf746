"""What a training is refused for before it begins: sets that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_features
from xpmlp.data.examples import Examples, QuantizedExamples, StreamedExamples
from xpmlp.nn.losses import LOSSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.nn.network import Layer, Network


def check_layers(network: Network, layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return what stands before the shape of one network's weights: () for one, (M,) for a stack of M.

    Raises
    ------
    InputError
        For weights that do not fit the network.
    """
    shapes = [(tuple(W.shape), tuple(b.shape)) for W, b in layers]
    stack = shapes[0][0][:-2] if shapes else ()
    expected = [((*stack, *of_W), (*stack, *of_b)) for of_W, of_b in network.layer_shapes]
    if len(stack) > 1 or shapes != expected:
        raise InputError(f"the weights have shapes {shapes}, which are not those of {network}.")
    return stack


def sets_of(evaluate: Any) -> dict[str, Examples]:
    """Return the sets to score by name, as `train` is given them: a mapping to (X, T), or None.

    Raises
    ------
    InputError
        For anything else.
    """
    if evaluate is not None and not isinstance(evaluate, Mapping):
        raise InputError(
            f"evaluate is {type(evaluate).__name__}, but must be a dict of sets by name: {{'validation': (X, T)}}."
        )
    return {name: Examples(*_pair(name, arrays)) for name, arrays in (evaluate or {}).items()}


def _pair(name: str, arrays: Any) -> tuple[Any, Any]:
    if not isinstance(arrays, tuple | list) or len(arrays) != 2:
        raise InputError(f"evaluate[{name!r}] is {type(arrays).__name__}, but must be examples and targets: (X, T).")
    return arrays[0], arrays[1]


ROUNDING = 1e-3  # of probabilities, and of their sum


def check_sets(backend: Backend, network: Network, sets: Mapping[str, Examples]) -> None:
    """Raise an `InputError` for examples or targets that do not fit the network or the backend, or are not finite."""
    for name, (X, T, weights) in sets.items():
        if isinstance(X, StreamedExamples):
            _check_streamed(backend, network, name, X, T)
        else:
            _check_arrays(backend, network, name, X, T)
        if weights is not None:
            check_weights(
                backend, f"the {name} weights", weights, X.shape[0], in_chunks=isinstance(X, StreamedExamples)
            )


def check_weights(backend: Backend, what: str, weights: Array, n: int, *, in_chunks: bool = False) -> None:
    """Raise an `InputError` for weights that are not those of `n` examples, and for any of examples in chunks."""
    if not _is_of(backend, weights):
        raise InputError(
            f"{what} are an array of {type(weights).__module__}, "
            f"{getattr(weights, 'dtype', type(weights))}, but {backend!r} computes: put them there with "
            "`backend.asarray`."
        )
    if in_chunks or tuple(weights.shape) != (n, 1):
        raise InputError(
            f"{what} have shape {tuple(weights.shape)}, but {n} examples of an array need ({n}, 1), and "
            "those in chunks have none."
        )
    with backend.computing():
        good = backend.to_numpy(backend.xp.all(backend.xp.isfinite(weights) & (weights >= 0.0))).item()
    if not good:
        raise InputError(f"{what} must be numbers of at least 0, but there are others among them.")


def _is_of(backend: Backend, array: Any) -> bool:
    return bool(backend.holds(array) and backend.on_device(array) and array.dtype == backend.float_dtype)


def _check_arrays(backend: Backend, network: Network, name: str, X: Array | QuantizedExamples, T: Array) -> None:
    n_inputs, n_targets = network.sizes[0], network.n_targets
    floating: Array = _checked_scale(backend, name, X) if isinstance(X, QuantizedExamples) else X
    for array in (floating, T):
        if not _is_of(backend, array):
            raise InputError(
                f"the {name} set has an array of {type(array).__module__}, {getattr(array, 'dtype', type(array))}, "
                f"but {backend!r} computes: put it there with `backend.asarray`."
            )
    if X.ndim != 2 or X.shape[1] != n_inputs:
        raise InputError(f"the {name} examples have shape {tuple(X.shape)}, but the network takes (n, {n_inputs}).")
    if X.shape[0] == 0:
        raise InputError(f"the {name} set has no examples: at least one is needed.")
    if tuple(T.shape) != (X.shape[0], n_targets):
        raise InputError(
            f"the {name} targets have shape {tuple(T.shape)}, but {X.shape[0]} examples with {n_targets} targets "
            f"need ({X.shape[0]}, {n_targets})."
        )
    for what, array in (("examples", floating), ("targets", T)):
        with backend.computing():
            finite = backend.to_numpy(backend.xp.all(backend.xp.isfinite(array))).item()
        if not finite:
            check_features(backend.to_numpy(array), f"the {name} {what}")
    if network.loss in (LOSSES["softmax"], LOSSES["logistic"]):
        _check_probabilities(backend, network, name, T)


def _check_probabilities(backend: Backend, network: Network, name: str, T: Array) -> None:
    """Raise an `InputError` for targets of classes or labels that are no probabilities."""
    xp, by_row = backend.xp, network.loss == LOSSES["softmax"]
    with backend.computing():
        sums = xp.sum(T, axis=-1) if by_row else xp.ones_like(T)
        extremes = xp.stack([xp.min(T), xp.max(T), xp.min(sums), xp.max(sums)])
        low, high, least, most = backend.to_numpy(extremes).tolist()
    if low < 0 or high > 1 + ROUNDING or least < 1 - ROUNDING or most > 1 + ROUNDING:
        rows = f", with rows that sum to {least:g} to {most:g}" if by_row else ""
        whole = ", with rows that sum to 1, such as one-hot labels" if by_row else ", one for each label"
        raise InputError(
            f"the {name} targets are {low:g} to {high:g}{rows}, but loss {network.loss.name} needs probabilities, 0 to "
            f"1{whole}. Amounts are learnt by another loss, such as squared_error."
        )


def _checked_scale(backend: Backend, name: str, X: QuantizedExamples) -> Array:
    values, d = X.values, X.shape[1]
    if not (backend.holds(values) and backend.on_device(values) and backend.xp.isdtype(values.dtype, "integral")):
        raise InputError(f"the {name} examples are QuantizedExamples, but their values are no integers of {backend!r}.")
    if tuple(X.scale.shape) not in {(d,), (1,)}:
        raise InputError(f"the {name} examples have {d} features, but a scale of shape {tuple(X.scale.shape)}.")
    return X.scale[None, :]


def _check_streamed(backend: Backend, network: Network, name: str, X: StreamedExamples, T: Array | None) -> None:
    n_inputs, n_targets = network.sizes[0], network.n_targets
    if T is not None:
        raise InputError(f"the {name} examples come in chunks with targets of their own: give None for the targets.")
    if X.backend != backend:
        raise InputError(f"the {name} examples come in chunks on {X.backend!r}, but {backend!r} computes.")
    if (X.shape[1], X.n_outputs) != (n_inputs, n_targets):
        raise InputError(
            f"the {name} examples come with {X.shape[1]} features and {X.n_outputs} targets each, but the network "
            f"takes {n_inputs} and gives {n_targets}."
        )
