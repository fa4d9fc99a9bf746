"""Gradient checks: finite differences against `bprop`, for every scalar parameter of a network.

The check that counts takes central differences of fourth order in float64. Beside it stands the report's own (3.1.3):
forward differences with a random step, whose ratio to `bprop` must lie within 0.99 and 1.01.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.shown import Shown
from xpmlp.common.wording import counted
from xpmlp.nn.activations import sign
from xpmlp.nn.members import is_zero, place
from xpmlp.nn.network import copy_layers, fprop, gradient_function, names_of, naming_own_functions
from xpmlp.nn.regularization import ElasticNet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.shown import Content
    from xpmlp.common.types import Array
    from xpmlp.nn.network import Layer, Network

    Line = Callable[[float], tuple[float, tuple[Any, ...]]]  # offset -> objective, and the side of every kink

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
REPORT_STEPS = (1e-5, 1e-3)
SHRINK = (1.0, 0.1, 0.01, 0.001, 0.0001)
MIN_RATIO, MAX_RATIO = 0.99, 1.01
RESOLUTION = 1e-8  # what a central difference is asked to resolve of a gradient
ZERO = 1e-7  # what a forward difference cannot tell from 0: its rounding at the smallest step


@dataclass(frozen=True)
class ParameterCheck:
    """The gradients of one scalar parameter.

    Attributes
    ----------
    name : str
        As "W1[0, 3]" or "b2[1]": layers from 1, as in the report, entries from 0; "w[0, 3]" or "c[0, 3]" of an
        embedding.
    bprop : float
        The derivative that `bprop` gives.
    central, forward : float
        The derivatives that central and forward differences give.
    error : float
        Relative error of `bprop` against `central`; NaN at a kink.
    ratio : float
        `forward` over `bprop`; 1 where both are zero, NaN at a kink.
    kink : bool
        Whether some unit sits on its kink there.
    """

    name: str
    bprop: float
    central: float
    forward: float
    error: float
    ratio: float
    kink: bool = False

    @property
    def ratio_error(self) -> float:
        """How far the ratio is from 1; infinite where it is no number."""
        return math.inf if math.isnan(self.ratio) else abs(self.ratio - 1.0)


@dataclass(frozen=True)
class GradientCheck(Shown):
    """The outcome for all parameters of a network.

    Attributes
    ----------
    parameters : tuple of ParameterCheck
        In the order of the layers, weights before biases.
    tolerance : float
        The bar for `worst.error`.
    """

    parameters: tuple[ParameterCheck, ...]
    tolerance: float

    def __repr__(self) -> str:
        found = [counted(len(self.parameters), "parameter")]
        if self.judged:
            found.append(f"worst relative error {self.worst.error:.1e} at {self.worst.name}")
        if self.kinks:
            found.append(f"{len(self.kinks):,} at kinks not judged")
        outcome = "passed" if self.passed else "FAILED"
        return f"<gradient check {outcome} at tolerance {self.tolerance:g}: {', '.join(found)}>"

    def _content(self) -> Content:
        arrays: dict[str, list[ParameterCheck]] = {}
        for parameter in self.parameters:
            arrays.setdefault(parameter.name.partition("[")[0], []).append(parameter)
        rows = []
        for name, found in arrays.items():
            judged = GradientCheck(tuple(found), self.tolerance).judged
            worst = max(judged, key=lambda parameter: parameter.error, default=None)
            of_worst = (f"{worst.error:.1e}", worst.name) if worst else ("", "")
            rows.append((name, f"{len(found):,}", *of_worst, len(found) - len(judged)))
        return ("array", "parameters", "worst relative error", "at", "at kinks"), rows

    @property
    def judged(self) -> list[ParameterCheck]:
        """The parameters at which the loss is differentiable."""
        return [parameter for parameter in self.parameters if not parameter.kink]

    @property
    def kinks(self) -> list[ParameterCheck]:
        """The parameters at which some unit sits on its kink, so that no difference can tell the derivative."""
        return [parameter for parameter in self.parameters if parameter.kink]

    @property
    def worst(self) -> ParameterCheck:
        """The judged parameter with the largest relative error."""
        return self._worst(lambda parameter: parameter.error)

    @property
    def worst_ratio(self) -> ParameterCheck:
        """The judged parameter whose ratio is furthest from 1."""
        return self._worst(lambda parameter: parameter.ratio_error)

    def _worst(self, distance: Callable[[ParameterCheck], float]) -> ParameterCheck:
        if not self.judged:
            raise InputError("no gradient can be judged: every parameter sits on a kink. Try other weights or data.")
        return max(self.judged, key=distance)

    @property
    def passed(self) -> bool:
        """Whether some parameter was judged, and all of these are within the tolerance."""
        return bool(self.judged) and self.worst.error < self.tolerance

    @property
    def report_passed(self) -> bool:
        """Whether every ratio lies within 0.99 and 1.01, the report's own test."""
        return bool(self.judged) and all(MIN_RATIO <= parameter.ratio <= MAX_RATIO for parameter in self.judged)


def check_gradients(
    backend: Backend,
    network: Network,
    layers: Sequence[Layer],
    X: Array,
    T: Array,
    *,
    masks: Sequence[Array | None] = (),
    penalty: ElasticNet | None = None,
    mode: str = "matrix",
    seed: int = 0,
    tolerance: float = 1e-7,
) -> GradientCheck:
    """Compare the gradients of the penalised mean loss with finite differences, parameter by parameter.

    Parameters
    ----------
    backend : Backend
        Where to compute; its dtype must be float64.
    network : Network
        Any architecture.
    layers : sequence of Layer
        Where to take the gradients, on the host or on the backend.
    X : array of shape (K, d)
        Examples, on the backend.
    T : array of shape (K, m)
        Their targets.
    masks : sequence of (array of shape (K, fan_in) or None), optional
        Of dropout, as for `fprop`: the loss is a function of the parameters for each draw of them.
    penalty : ElasticNet, optional
        Added to the mean loss.
    mode : {"matrix", "loop"}
        Which variant of the gradients to check.
    seed : int
        Of the forward differences' random steps.
    tolerance : float
        The largest relative error that passes.

    Returns
    -------
    GradientCheck
        With the worst parameter by name.

    Raises
    ------
    InputError
        For a backend in float32, whose rounding would hide errors; for targets that are not one row for each example;
        and for functions of your own that the library refuses to compute.

    Notes
    -----
    The relative error is ``|bprop - central| / max(|bprop|, |central|, floor)``. A difference of two losses carries
    their rounding, about ``4 eps |loss| / step``; a gradient so small that this is more than 1e-8 of it cannot be
    resolved further, so ``floor`` is that gradient (about 1e-4 for a loss near 1, so that differences of 1e-11 count).
    True zeros (dead units) then pass, and wrong ones do not.

    A step that would carry a unit over the kink of its activation, or a weight over that of its L1 penalty, is not
    taken: a smaller one is. A parameter for which even the smallest does so is reported as a kink and not judged.
    """
    if backend.dtype != "float64":
        raise InputError(f"gradients are checked in float64, but the backend computes in {backend.dtype}.")
    n = X.shape[-2]
    if n == 0 or tuple(T.shape[-2:]) != (n, network.n_targets):
        raise InputError(
            f"T has shape {tuple(T.shape)} for {n} examples, but must have a row of {network.n_targets} "
            "targets for each example, and at least one."
        )
    xp, penalty = backend.xp, place(penalty or ElasticNet(), backend.asarray)
    layers = copy_layers(backend, layers)
    along = _objective(backend, network, layers, (X, T, masks), penalty)
    rng = make_generator(seed, "steps")
    low, high = map(math.log, REPORT_STEPS)
    checks = []
    with naming_own_functions(network):
        _, gradients = gradient_function(xp, network, mode, backend.compile)(layers, X, T, masks)
        gradients = penalty.add_gradient(xp, layers, gradients)
        for number, gradient in enumerate(gradients):
            for letter, derivatives, array in zip("Wb", gradient, names_of(layers)[number], strict=True):
                bprop = backend.to_numpy(derivatives)
                for index in itertools.product(*map(range, bprop.shape)):
                    line = along(number, letter, index)
                    step = math.exp(rng.uniform(low, high))
                    name = f"{array}[{', '.join(map(str, index))}]"
                    checks.append(_check(name, line, float(bprop[index]), step, tolerance))
    return GradientCheck(tuple(checks), tolerance)


def _check(name: str, line: Line, bprop: float, random_step: float, tolerance: float) -> ParameterCheck:
    central, error = _closest_central(line, bprop, tolerance)
    forward, ratio = _closest_forward(line, bprop, random_step)
    if central is None or forward is None:
        return ParameterCheck(name, bprop, math.nan, math.nan, math.nan, math.nan, kink=True)
    return ParameterCheck(name, bprop, central, forward, error, ratio)


def _closest_central(line: Line, bprop: float, tolerance: float) -> tuple[float | None, float]:
    """Return the central difference at the largest step that confirms `bprop`, else the closest one, and its error.

    None where every step crosses a kink. A derivative or a loss that is not finite has an infinite error.
    """
    best, smallest, floor = None, math.inf, None
    for step in STEPS:
        central = _central(line, step)
        if central is None:
            continue
        if floor is None:  # the largest step rounds least; smaller ones are for curvature, and not to be kinder
            floor = 4.0 * sys.float_info.epsilon * abs(line(0.0)[0]) / step / RESOLUTION
        error = abs(bprop - central) / max(abs(bprop), abs(central), floor, sys.float_info.min)
        if best is None or error < smallest:  # which a NaN is not
            best, smallest = central, min(math.inf, error)
        if error < tolerance:
            break
    return best, smallest


def _closest_forward(line: Line, bprop: float, random_step: float) -> tuple[float | None, float]:
    """Return a forward difference and its ratio to `bprop`, at a smaller step where curvature spoils the first."""
    forward, ratio = None, math.nan
    for shrink in SHRINK:
        difference = _forward(line, random_step * shrink)
        if difference is None:
            continue
        forward = difference
        ratio = 1.0 if abs(forward - bprop) < ZERO else forward / bprop if bprop else math.inf
        if MIN_RATIO <= ratio <= MAX_RATIO:
            break
    return forward, ratio


def _forward(line: Line, step: float) -> float | None:
    """(L(p + h) - L(p)) / h, the report's; None across a kink."""
    (here, side), (ahead, side_ahead) = line(0.0), line(step)
    return (ahead - here) / step if side_ahead == side else None


def _central(line: Line, step: float) -> float | None:
    """(8 (L(p + h) - L(p - h)) - (L(p + 2h) - L(p - 2h))) / 12h, of fourth order; None across a kink."""
    _, side = line(0.0)
    points = [line(offset * step) for offset in (-2.0, -1.0, 1.0, 2.0)]
    if any(other != side for _, other in points):
        return None
    far_behind, behind, ahead, far_ahead = (value for value, _ in points)
    return (8.0 * (ahead - behind) - (far_ahead - far_behind)) / (12.0 * step)


def _objective(
    backend: Backend, network: Network, layers: list[Layer], minibatch: tuple[Any, ...], penalty: ElasticNet
) -> Callable[[int, str, tuple[int, ...]], Line]:
    """Return ``along(number, letter, index)``: the penalised mean loss as a function of an offset from one parameter.

    Beside the loss, that function gives the side of every kink.
    """
    xp = backend.xp

    def evaluate(layers: list[Layer], X: Array, T: Array, masks: Sequence[Array | None]) -> tuple[Array, list[Array]]:
        trace = fprop(xp, network, layers, X, masks)
        sides = [sign(xp, z_l) for z_l, f in zip(trace.z, network.activations, strict=False) if f.kink]
        sides += [sign(xp, trace.a[-1] - T - kink) for kink in network.loss.kinks]
        return network.loss.value(xp, trace.u, T) / X.shape[-2] + penalty.value(xp, layers), sides

    evaluate = backend.compile(evaluate)
    l1 = [strength for _, strength, *_ in penalty.strengths(layers)]

    def along(number: int, letter: str, index: tuple[int, ...]) -> Line:
        host = backend.to_numpy(getattr(layers[number], letter))
        here = float(host[index])
        penalised = letter == "W" and not is_zero(l1[number])

        @functools.cache
        def line(offset: float) -> tuple[float, tuple[Any, ...]]:
            moved = host.copy()
            moved[index] = here + offset
            near = list(layers)
            near[number] = near[number]._replace(**{letter: backend.asarray(moved)})
            value, sides = evaluate(near, *minibatch)
            weight_side = (here + offset > 0.0) - (here + offset < 0.0) if penalised else 0
            bytes_of_sides = (backend.to_numpy(side).tobytes() for side in sides)
            return float(backend.to_numpy(value).sum()), (weight_side, *bytes_of_sides)

        return line

    return along
