"""The training step as an ONNX graph."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.files import check_place, write_whole
from xpmlp.common.packages import load_package
from xpmlp.models.conversion import as_model
from xpmlp.models.exports._onnx import (
    add_features,
    check_size,
    end,
    is_far,
    predicted,
    trace_network,
    with_operators,
    written,
)
from xpmlp.models.exports._onnx_graph import Graph
from xpmlp.models.exports._onnx_tracing import XP, Traced, operator, recording
from xpmlp.models.files import named_arrays
from xpmlp.nn.network import Layer, gradient_function
from xpmlp.training.step import State, flat, make_update

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from xpmlp.models.model import Model
    from xpmlp.training.recipe import Recipe

NEXT = "next_"  # before the name of an input: the output that is its value at the next step


def export_step(model: Model | BaseEstimator, recipe: Recipe, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a training step for runtimes of ONNX, which train a network with it where there is no Python.

    The graph takes a minibatch of any size: raw features as the graph of `export_model` does, and ``y``, what is to be
    predicted: the number of the class, (K,), from 0; with several labels for an example 0 or 1 for each, (K, m); of a
    regression values in their own units, (K, m). Its other inputs are the weights (``W1``, ``b1``, ...), the state of
    the optimiser (such as ``m_W1``) with ``t``, the number of steps taken, and ``scale``, which the learning rate is
    multiplied by. Where one of these is left out, it is the model's weight, or what is there before the first step.
    The outputs are the weights and the state after the step, each with ``next_`` before its name; and of the minibatch
    before it ``loss``, the mean, and what is predicted, as the graph of `export_model` has it.

    Parameters
    ----------
    model : Model, MLPClassifier, MLPRegressor or Pipeline
        The network, with the weights to begin with; or a fitted estimator, as for `export_model`.
    recipe : Recipe
        The optimiser, the schedule and the penalty. All else in it is the business of who calls the step.
    path : Path
        Where, ending in ``.onnx``.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    InputError
        For a network with dropout, another ending, a file that is there, and more than the 2 GiB that such a file can
        hold.
    BackendError
        Where the package ``onnx`` is not installed.

    Examples
    --------
    >>> import numpy as np, onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from xpmlp import Model, Network, Recipe, Scaling, export_step, initialize
    >>> X, y = load_iris(return_X_y=True)
    >>> network = Network.build(4, 8, 3)
    >>> model = Model(network, initialize(network), np.arange(3), Scaling.fit("standard", X))
    >>> export_step(model, Recipe(), "step.onnx")
    >>> settings = onnxruntime.SessionOptions()
    >>> settings.log_severity_level = 3  # else it warns that weights are inputs
    >>> session = onnxruntime.InferenceSession("step.onnx", settings)
    >>> names = [each.name for each in session.get_outputs()]
    >>> state = {}
    >>> for _ in range(3):
    ...     found = dict(zip(names, session.run(names, {"X": X, "y": y, **state}), strict=True))
    ...     state = {name[5:]: value for name, value in found.items() if name.startswith("next_")}
    >>> int(state["t"])
    3
    """
    path = Path(path)
    check_place(path, [".onnx"], overwrite=overwrite)
    write_whole(path, step_of(as_model(model), recipe))


def step_of(model: Model, recipe: Recipe) -> bytes:
    """Return the ONNX file that `export_step` writes: `gradient_function` and `make_update`, recorded."""
    onnx, network, dtype = load_package("onnx"), model.network, model.dtype
    if any(network.dropout):
        raise InputError(
            "a step with dropout cannot be exported, as ONNX of this opset lacks the arithmetic that decides what is "
            "dropped: train a network without it."
        )
    layers, optimizer = model.layers, recipe.optimizer.init(np, flat(model.layers))
    names = list(named_arrays(layers))
    arrays = named_arrays(layers) | {
        f"{field}_{name}": array
        for field in optimizer._fields
        for name, array in zip(names, getattr(optimizer, field), strict=False)  # SGD without momentum has none
    }
    check_size(list(arrays.values()))
    stack = layers[0].W.shape[:-2]  # (M,) of an ensemble
    arrays |= {"t": np.zeros(stack, np.int64)}

    graph = Graph(onnx, dtype)
    x = add_features(graph, model)
    targets = _targets(graph, model)
    rows = graph.add("Gather", graph.add("Shape", x.name), graph.unnamed(np.array(0)))
    n = Traced(graph, graph.cast(rows, dtype), dtype, ())
    x, T = (Traced(graph, each.name, each.dtype, (n, each.shape[1])) for each in (x, targets))
    given = {
        name: Traced(graph, graph.input(name, value.dtype, value.shape, value), value.dtype, value.shape)
        for name, value in arrays.items()
    }

    scale = Traced(graph, graph.input("scale", dtype, stack, np.ones(stack, dtype)), dtype, stack)

    def like(prefix: str) -> list[Any]:
        return [given[prefix + name] for name in names if prefix + name in given]

    rule_state = type(optimizer)(*(like(f"{field}_") for field in optimizer._fields))
    zero = np.dtype(dtype).type(0)
    state = State(rule_state, given["t"], loss=zero, scale=scale, rate=zero)
    before = [Layer(*pair) for pair in zip(like("")[::2], like("")[1::2], strict=True)]
    update = make_update(XP, recipe, partial(np.asarray, dtype=dtype))
    with recording(network):
        loss, gradients = gradient_function(XP, with_operators(network))(before, x, T)
        after, state = update(before, state, loss, gradients, None, n)
    found = dict(zip(names, flat(after), strict=True)) | {
        f"{field}_{name}": value
        for field in optimizer._fields
        for name, value in zip(names, getattr(state.optimizer, field), strict=False)
    }
    found["t"] = state.t
    ends = [end(NEXT + name, found[name]) for name in arrays]
    ends += [end("loss", state.loss / n), *predicted(model, trace_network(model, x, before))]
    return written(graph, ends, model)


def _targets(graph: Graph, model: Model) -> Traced:
    """Add the input ``y``, and what `Model.encode_targets` makes of it, (n, m)."""
    m, dtype = model.network.n_targets, graph.dtype
    if model.classes is not None and not model.multilabel:
        y = Traced(graph, graph.input("y", "int64", ["n"]), np.int64, ["n"])[:, None]
        return operator("Cast", y == np.arange(m) + (m == 1), dtype, ["n", m], to=graph.type_of(dtype))
    scaling = model.target_scaling
    given = "float64" if scaling is not None and is_far(scaling) else dtype
    y = Traced(graph, graph.input("y", given, ["n", m]), given, ["n", m])
    if scaling is None or scaling.is_identity:
        return y
    scaled: Traced = XP.astype((y - scaling.shift) * scaling.scale, dtype)
    return scaled
