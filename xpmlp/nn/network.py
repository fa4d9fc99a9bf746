"""The network: its forward pass, its backward pass, and nothing else of the calculus anywhere.

Glossary, from the report's symbols to the code's (rows are examples; K rows, d inputs, m outputs)::

    x    a[0]    input              (K, d)        W1, b1   layers[0].W, layers[0].b   (d, d_h), (d_h,)
    ha   z[0]    pre-activation     (K, d_h)      W2, b2   layers[1].W, layers[1].b   (d_h, m), (m,)
    hs   a[1]    hidden activation  (K, d_h)
    oa   z[-1]   logits             (K, m)        u        ln softmax(z[-1]), or z[-1] (K, m)
    os   a[-1]   output             (K, m)        T        targets, one-hot or real   (K, m)
                                                  delta    dL/dz of the layer at hand

Where features are embedded (`xpmlp.nn.embeddings`), x stands for [x, cos(w x + c)], and w and c are ``layers[0]``.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from xpmlp.backends.elementwise import elementwise, fuse
from xpmlp.backends.purity import is_pure
from xpmlp.common.errors import InputError
from xpmlp.common.shown import Shown, line, written
from xpmlp.common.validation import as_tuple, check_choice, check_number, one_for_each
from xpmlp.common.wording import counted
from xpmlp.nn.activations import ACTIVATIONS, Activation
from xpmlp.nn.embeddings import embed, embed_backward
from xpmlp.nn.losses import LOSSES, Loss
from xpmlp.nn.members import over
from xpmlp.nn.own_parts import own_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.shown import Content
    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.members import Number

    Layers = Sequence["Layer"]
    Masks = Sequence[Array | None]
    GradientFunction = Callable[..., tuple[Array, list["Layer"]]]

Part = TypeVar("Part", Activation, Loss)

MODES = ("matrix", "loop")
MAX_UNITS = 2**31 - 1
MAX_CHAIN = 8  # sizes that are written in a line


class Layer(NamedTuple):
    """The parameters of one layer, or their gradients: of an embedding w and c, both (n, k), or (M, n, k)."""

    W: Array  # (fan_in, fan_out), or (M, fan_in, fan_out) of a stack
    b: Array  # (fan_out,), or (M, fan_out)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(p.shape)}" for name, p in zip("Wb", self, strict=True))
        return f"<layer: {shapes}>"


def is_embedding(layer: tuple[Array, Array]) -> bool:
    """Whether what a network has of parameters at some place are the w and c of an embedding, which have one shape."""
    W, b = layer
    return bool(W.ndim == b.ndim)


def names_of(layers: Layers) -> list[tuple[str, str]]:
    """Name the two arrays of each layer: W1 and b1, W2 and b2, ...; those of an embedding before them w and c."""
    first = [("w", "c") for layer in layers if is_embedding(layer)]
    return first + [(f"W{n}", f"b{n}") for n in range(1, len(layers) - len(first) + 1)]


def copy_layers(backend: Backend, layers: Layers) -> list[Layer]:
    """Copy layers, from the host or the backend, to arrays of the backend that may be written to."""
    return [Layer(backend.copy_to_device(W), backend.copy_to_device(b)) for W, b in layers]


class Trace(NamedTuple):
    """What the forward pass leaves for the backward pass: one entry per layer, and the input before them."""

    z: list[Array]  # z[l]: pre-activation of layer l
    a: list[Array]  # a[0]: the input, with its cosines; a[l + 1]: activation of layer l
    u: Array  # what output and loss have in common: ln softmax(z[-1]), or z[-1]
    x: list[Array]  # x[l]: what layer l is given: a[l], or what dropout leaves of it
    masks: Masks  # what x[l] is a[l] times; None for 1
    embedded: tuple[Array, Array] | None = None  # what `embed` leaves

    def __repr__(self) -> str:
        return line(self)


@dataclass(frozen=True)
class Network(Shown):
    """The architecture: what `fprop` and `bprop` need to know beside the parameters.

    Attributes
    ----------
    sizes : tuple of int
        Units of each layer: inputs, hidden layers, outputs.
    activations : tuple of Activation
        One per hidden layer.
    loss : Loss
        The output function with its loss.
    dropout : tuple of (float or PerMember)
        The share of each layer's input that is dropped in training: of the network's input, then of each hidden layer.
    frequencies : int
        How many cosines of each embedded feature stand beside the input; see `xpmlp.nn.embeddings`.
    embedded : tuple of int
        The columns of the features that are embedded, ascending.
    """

    OWN: ClassVar = ("dropout",)

    sizes: tuple[int, ...]
    activations: tuple[Activation, ...]
    loss: Loss
    dropout: tuple[Number, ...]
    frequencies: int = 0
    embedded: tuple[int, ...] = ()

    @classmethod
    def build(
        cls,
        n_inputs: int,
        hidden: int | Sequence[int],
        n_outputs: int,
        *,
        activation: str | Activation | Sequence[str | Activation] = "relu",
        loss: str | Loss = "softmax",
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        frequencies: int = 0,
        embedded: Sequence[int] | None = None,
    ) -> Network:
        """Describe a network from plain values.

        Parameters
        ----------
        n_inputs : int
            Features of an example.
        hidden : int or sequence of int
            Units of the one hidden layer, or of each; empty for a linear model.
        n_outputs : int
            Classes, labels or regression targets. With the loss "gaussian", each target has two units: its mean and
            its variance.
        activation : str or Activation, or sequence of these
            A name from `ACTIVATIONS`, or an activation of your own, for all hidden layers or for each.
        loss : str or Loss
            A name from `LOSSES`, or a loss of your own.
        dropout : float or sequence of float
            The share of the hidden units that is dropped in training, in [0, 1): one for all layers, or one for each.
        input_dropout : float
            The share of the inputs, and of their cosines.
        frequencies : int
            How many cosines of each feature the first layer is given beside the features; 0 for none.
        embedded : sequence of int, optional
            The columns of the features that have cosines, ascending, such as those that are not one-hot; all of them by
            default.

        Raises
        ------
        InputError
            For sizes below one, unknown names, shares out of bounds, another number of activations or shares than of
            hidden layers, and columns that there are not.
        """
        check_number("the number of inputs", n_inputs, at_least=1, integer=True)
        check_number("the number of outputs", n_outputs, at_least=1, integer=True)
        units = as_tuple(hidden)
        for position, size in enumerate(units, start=1):
            check_number(f"the size of hidden layer {position}", size, at_least=1, at_most=MAX_UNITS, integer=True)
        names: tuple[str | Activation, ...] = one_for_each("activation", activation, len(units), "hidden layer")
        if not units and isinstance(dropout, int | float) and dropout:
            raise InputError("dropout drops hidden units, but there are none: leave it out, or drop inputs.")
        rates = (input_dropout, *one_for_each("dropout", dropout, len(units), "hidden layer"))
        if loss == "softmax" and n_outputs == 1:
            raise InputError("a softmax over one output is always 1: give at least two outputs, or loss 'logistic'.")
        found = _find(Loss, loss, LOSSES)
        check_number("the number of frequencies", frequencies, at_least=0, at_most=MAX_UNITS, integer=True)
        columns = tuple(range(n_inputs) if embedded is None else map(int, embedded))
        if list(columns) != sorted({*columns} & {*range(n_inputs)}):
            raise InputError(f"embedded is {columns}, but must be columns of {n_inputs} inputs in ascending order.")
        return cls(
            sizes=(int(n_inputs), *(int(size) for size in units), int(n_outputs) * found.outputs_per_target),
            activations=tuple(_find(Activation, name, ACTIVATIONS) for name in names),
            loss=found,
            dropout=tuple(
                check_number("dropout" if number else "input dropout", rate, at_least=0, below=1)
                for number, rate in enumerate(rates)
            ),
            frequencies=int(frequencies) if columns else 0,
            embedded=columns if frequencies else (),
        )

    def __str__(self) -> str:
        return f"a network {self.chain} of {self.n_parameters:,} parameters"

    def __repr__(self) -> str:
        return f"<Network {self.chain} of {self.n_parameters:,} parameters, {self.made_of}>"

    def _content(self) -> Content:
        names = [*(activation.name for activation in self.activations), f"output of loss {self.loss.name}"]
        rows: list[Sequence[object]] = [
            (number, f"{n:,}", f"{rate:g}" if isinstance(rate, int | float) else written(rate), f"{m:,}", name)
            for number, ((n, m), rate, name) in enumerate(zip(self.shapes, self.dropout, names, strict=True), 1)
        ]
        if self.n_cosines:
            rows.insert(0, ("cosines", f"{len(self.embedded):,}", "0", f"{self.n_cosines:,}", "cos(w x + c)"))
        sizes = [f"{sum(map(math.prod, shapes)):,}" for shapes in self.layer_shapes]
        heads = ("layer", "inputs", "dropout", "units", "activation", "parameters")
        return heads, [(*row, size) for row, size in zip(rows, sizes, strict=True)]

    @property
    def chain(self) -> str:
        """The sizes in a line: 784-50-10; of many layers, those at both ends."""
        sizes = list(map(str, self.sizes))
        return "-".join([*sizes[:4], "...", *sizes[-3:]] if len(sizes) > MAX_CHAIN else sizes)

    @property
    def made_of(self) -> str:
        """What it has beside its sizes, in words."""
        cosines = f"{counted(self.n_cosines, 'cosine')} of inputs, " if self.n_cosines else ""
        names = list(dict.fromkeys(activation.name for activation in self.activations))
        return f"{cosines}activations {', '.join(names) or 'none'}, loss {self.loss.name}"

    @property
    def n_targets(self) -> int:
        """Columns of the targets: as many as outputs, or fewer where a target has several."""
        return self.sizes[-1] // self.loss.outputs_per_target

    @property
    def n_parameters(self) -> int:
        """The number of scalar parameters: the sum of fan_out (fan_in + 1) over the layers (2.11), and w and c."""
        return sum(math.prod(shape) for shapes in self.layer_shapes for shape in shapes)

    @property
    def n_cosines(self) -> int:
        """How many cosines stand beside the inputs."""
        return len(self.embedded) * self.frequencies

    @property
    def widths(self) -> tuple[int, ...]:
        """What `sizes` says, with the cosines beside the inputs."""
        return (self.sizes[0] + self.n_cosines, *self.sizes[1:])

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shape of each layer's weights, (fan_in, fan_out): the first layer is given the cosines too."""
        return list(pairwise(self.widths))

    @property
    def layer_shapes(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The shapes of the two arrays of each layer, those of an embedding first."""
        shape = len(self.embedded), self.frequencies
        first: list[Any] = [(shape, shape)] if self.frequencies else []
        return first + [((fan_in, fan_out), (fan_out,)) for fan_in, fan_out in self.shapes]


def _find(kind: type[Part], given: str | Part, known: dict[str, Part]) -> Part:
    """Return the activation or the loss that has a name, or the one that is given itself."""
    name = kind.__name__.lower()
    part = own_part(name, given) or given
    if isinstance(part, kind):
        return part
    check_choice(name, given, known)
    return known[str(given)]


@contextmanager
def naming_own_functions(network: Network, **others: Any) -> Iterator[None]:
    """Name the functions of the user's own in a network, and among `others`, where a library refuses to compute them.

    Raises
    ------
    InputError
        In place of a `TypeError`, or of an error that speaks of NumPy, where one of these has functions from outside
        xpmlp.
    """
    try:
        yield
    except (TypeError, RuntimeError) as error:
        parts = {f"activation {f.name}": f for f in network.activations} | {f"loss {network.loss.name}": network.loss}
        parts |= {f"{role} {written(part)}": part for role, part in others.items()}
        own = [name for name, part in parts.items() if not is_pure(part)]
        if not own or not (isinstance(error, TypeError) or "numpy" in str(error).lower()):
            raise
        cause = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"the network cannot be computed ({cause}). Functions of your own are in it ({', '.join(own)}): they have "
            "to call the functions of their argument xp, such as xp.tanh, in place of NumPy's."
        ) from error


def fprop(xp: Namespace, network: Network, layers: Layers, X: Array, masks: Masks = ()) -> Trace:
    """Forward pass.

    Parameters
    ----------
    xp : namespace
        The array library that holds `layers` and `X`.
    network : Network
        The architecture.
    layers : sequence of Layer
        The parameters, of one network or of a stack of M: all that follows then has a leading axis of M.
    X : array of shape (K, d)
        One example per row. The members of a stack share them, or have each their own, (M, K, d).
    masks : sequence of (array of shape (K, fan_in) or None), optional
        What the input of each layer is multiplied by, in training with dropout; see `xpmlp.nn.dropout`.

    Returns
    -------
    Trace
        The pre-activations and activations of every layer (2.1-2.9).
    """
    z: list[Array] = []
    embedding, layers = parted(network, layers)
    X, embedded = (X, None) if embedding is None else embed(xp, network.embedded, embedding, X)
    a, x = [X], []
    masks = masks or [None] * len(layers)
    for i, (W, b) in enumerate(layers):
        x.append(a[i] if masks[i] is None else a[i] * masks[i])  # (K, fan_in)
        h = xp.matmul(x[i], W)
        if i < len(network.activations):
            h, f = fuse(xp, _activate)(xp, h, b[..., None, :], activation=network.activations[i].function)
            a.append(f)  # (K, d_h): hs (2.3)
        else:
            h += b[..., None, :]
        z.append(h)  # (K, fan_out): ha, oa (2.1-2.2, 2.4-2.5)
    u = network.loss.normalise(xp, z[-1])
    a.append(network.loss.outputs(xp, u))  # (K, m): os (2.6)
    return Trace(z, a, u, x, masks, embedded)


def parted(network: Network, layers: Layers) -> tuple[Layer | None, Layers]:
    """Return the embedding, where there is one, and the layers after it."""
    return (layers[0], layers[1:]) if network.frequencies else (None, layers)


@elementwise(inplace=1)
def _activate(xp: Namespace, h: Array, b: Array, *, activation: Callable[..., Array]) -> tuple[Array, Array]:
    """Return h + b, and the activation of it."""
    h += b
    return h, activation(xp, h)


def bprop(
    xp: Namespace,
    network: Network,
    layers: Layers,
    trace: Trace,
    T: Array,
    *,
    scale: Array | float = 1.0,
    input_gradient: bool = False,
) -> tuple[list[Layer], Array | None]:
    """Backward pass: the gradients of the loss by all parameters.

    Parameters
    ----------
    xp : namespace
        The array library that holds the arrays, as for `fprop`.
    network : Network
        The architecture.
    layers : list of Layer
        The parameters.
    trace : Trace
        What `fprop` returned.
    T : array of shape (K, m)
        Targets, one row per example.
    scale : float or array of shape (K, 1)
        What each row's loss counts: ``1 / K`` gives the gradient of the mean, 1 that of the sum.
    input_gradient : bool
        Whether to compute dL/dx, which training does not need.

    Returns
    -------
    gradients : list of Layer
        The gradients dL/dW and dL/db of each layer.
    dX : array of shape (K, d), or None
        The gradient dL/dx of each row (2.65-2.67), times `scale`, if asked for.
    """
    deltas = backward(xp, network, layers, trace, T, scale)
    embedding, layers = parted(network, layers)
    gradients = [
        Layer(
            xp.matmul(xp.matrix_transpose(x), delta),  # dW, (fan_in, fan_out): hs (outer) delta (2.29-2.41, 2.52-2.64)
            xp.sum(delta, axis=-2),  # db, (fan_out,)
        )
        for x, delta in zip(trace.x, deltas, strict=True)
    ]
    if embedding is None and not input_gradient:
        return gradients, None
    dX = _upstream(xp, deltas[0], layers[0].W, trace.masks[0])  # (K, d): W1 delta (2.65-2.67)
    if embedding is None or trace.embedded is None:
        return gradients, dX
    ends = embed_backward(xp, network.embedded, embedding, trace.embedded, dX, input_gradient=input_gradient)
    return [Layer(*ends[:2]), *gradients], ends[2]


def backward(
    xp: Namespace, network: Network, layers: Layers, trace: Trace, T: Array, scale: Array | float
) -> list[Array]:
    """Return delta, dL/dz, of every layer, (K, fan_out), by the chain rule from the last back; as for `bprop`."""
    z, a = trace.z, trace.a
    _, layers = parted(network, layers)
    delta = network.loss.gradient(xp, a[-1], T, scale)  # (K, m): dL/d(oa) (2.16-2.28)
    deltas = [delta]
    for i in reversed(range(1, len(layers))):
        delta = _upstream(xp, delta, layers[i].W, trace.masks[i])  # (K, fan_in): dL/d(hs) = W2 delta (2.42-2.47)
        derivative = network.activations[i - 1].derivative
        delta = fuse(xp, _activation_backward)(xp, delta, z[i - 1], a[i], derivative=derivative)  # dL/d(ha) (2.48-2.51)
        deltas.append(delta)
    return deltas[::-1]


@elementwise(inplace=1)
def _activation_backward(xp: Namespace, delta: Array, z: Array, a: Array, *, derivative: Callable[..., Array]) -> Array:
    """Return dL/dz, given dL/da."""
    delta *= derivative(xp, z, a)
    return delta


def _upstream(xp: Namespace, delta: Array, W: Array, mask: Array | None) -> Array:
    """Return dL/dx of a layer, (K, fan_in), from its delta, less what dropout took from x."""
    dx = xp.matmul(delta, xp.matrix_transpose(W))
    if mask is not None:
        dx *= mask
    return dx


def total_weight(xp: Namespace, weights: Array | None, n: int) -> Array | int:
    """Return what `n` rows count together: `n`, or the sum of their weights; 1 where this is 0."""
    if weights is None:
        return n
    total = xp.sum(weights, axis=(-2, -1))
    return xp.where(total == 0, xp.ones_like(total), total)


def add_gradients(one: tuple[Array, list[Layer]], other: tuple[Array, list[Layer]]) -> tuple[Array, list[Layer]]:
    """Return the sum of two losses and of their gradients."""
    (loss, gradients), (other_loss, others) = one, other
    pairs = zip(gradients, others, strict=True)
    return loss + other_loss, [Layer(dW + other_dW, db + other_db) for (dW, db), (other_dW, other_db) in pairs]


def gradient_function(
    xp: Namespace, network: Network, mode: str = "matrix", compiler: Callable[[Any], Any] | None = None
) -> GradientFunction:
    """Return the function ``(layers, X, T, masks=(), weights=None, size=None) -> (loss, gradients)`` of either variant.

    Parameters
    ----------
    xp : namespace
        The array library that will hold the arrays.
    network : Network
        The architecture.
    mode : {"matrix", "loop"}
        All rows in one expression, or row by row with the gradients averaged: the same `fprop` and `bprop`.
    compiler : callable, optional
        `Backend.compile`, to make the function fast; the loop compiles what it does for a single row.

    Returns
    -------
    callable
        Gives the loss summed over the rows, and a list of `Layer` with the gradients of its mean. ``masks`` are
        dropout's, as for `fprop`; ``weights`` (K, 1) say what each row counts in the sum and in the mean. ``size`` is
        what the gradients' sum is divided by where these are not all rows of the mean. Given the layers of a stack, it
        gives the losses of its members, (M,), and the gradients of each; either variant does.

    Raises
    ------
    InputError
        For an unknown mode.
    """
    check_choice("mode", mode, MODES)
    compiled = compiler or (lambda function: function)

    def matrix(
        layers: Layers, X: Array, T: Array, masks: Masks = (), weights: Array | None = None, size: Any = None
    ) -> tuple[Array, list[Layer]]:
        """All rows at once (3.1.5)."""
        trace = fprop(xp, network, layers, X, masks)
        size = total_weight(xp, weights, X.shape[-2]) if size is None else size
        scale = 1.0 / size if weights is None else weights / over(size, weights)
        gradients, _ = bprop(xp, network, layers, trace, T, scale=scale)
        return network.loss.value(xp, trace.u, T, weights), gradients

    of_rows: GradientFunction = compiled(matrix)
    add: GradientFunction = compiled(add_gradients)

    def loop(
        layers: Layers, X: Array, T: Array, masks: Masks = (), weights: Array | None = None, size: Any = None
    ) -> tuple[Array, list[Layer]]:
        """Row by row, and averaged (3.1.4): the specification of what is computed at once."""

        def of_row(i: int) -> tuple[Array, list[Layer]]:
            row = slice(i, i + 1)
            own = [None if array is None else array[..., row, :] for array in (weights, *masks)]
            return of_rows(layers, X[..., row, :], T[..., row, :], own[1:], own[0], 1)

        total = of_row(0)
        for i in range(1, X.shape[-2]):
            total = add(total, of_row(i))
        loss, gradients = total
        size = total_weight(xp, weights, X.shape[-2]) if size is None else size
        return loss, [Layer(dW / over(size, dW), db / over(size, db)) for dW, db in gradients]

    return loop if mode == "loop" else of_rows
