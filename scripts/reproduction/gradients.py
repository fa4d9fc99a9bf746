"""Gradient checks on the circles with two hidden units (figs. 1, 2, 6-9)."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from xpmlp.experiments.experiment import check_circles
from xpmlp.experiments.options import CIRCLES
from xpmlp.plots import gradient_figure

if TYPE_CHECKING:
    from reproduction.plan import Plan
    from xpmlp import GradientCheck

# The report shows the loop twice: alone, and again beside the matrix.
CHECKS = (("loop", 1, "1 and 6"), ("matrix", 1, "8"), ("loop", 10, "2 and 7"), ("matrix", 10, "9"))


def check_gradients_of_report(plan: Plan) -> dict[str, Any]:
    """Check both variants at both sizes, draw each, and compare the two variants with each other."""
    backend = plan.open("float64")
    variants = {(mode, size): replace(CIRCLES, mode=mode, batch_size=size) for mode, size, _ in CHECKS}
    checks = {variant: check_circles(backend, options) for variant, options in variants.items()}
    return {
        "backend": repr(backend),
        "tolerance": next(iter(checks.values())).tolerance,
        "checks": [
            _measured(checks[mode, size])
            | {"mode": mode, "batch_size": size, "figures": figures}
            | {"picture": _picture(plan, checks[mode, size], mode, size)}
            for mode, size, figures in CHECKS
        ],
        "agreement": [
            {"batch_size": size, **agreement(checks["loop", size], checks["matrix", size])} for size in (1, 10)
        ],
    }


def agreement(one: GradientCheck, other: GradientCheck) -> dict[str, Any]:
    """Say how far the `bprop` gradients of two checks lie apart, relative to the largest of them, and in digits.

    The digits are None where the gradients are the same to the last bit.
    """
    pairs = [(a.bprop, b.bprop) for a, b in zip(one.parameters, other.parameters, strict=True)]
    largest = max(max(abs(a), abs(b)) for a, b in pairs)
    difference = max(abs(a - b) for a, b in pairs) / largest if largest else 0.0
    return {"difference": difference, "digits": math.floor(-math.log10(difference)) if difference else None}


def _measured(check: GradientCheck) -> dict[str, Any]:
    worst, ratio = check.worst, check.worst_ratio
    return {
        "worst_error": worst.error,
        "worst_error_at": worst.name,
        "worst_ratio": ratio.ratio,
        "worst_ratio_error": ratio.ratio_error,
        "worst_ratio_at": ratio.name,
        "passed": check.passed,
        "report_passed": check.report_passed,
        "kinks": [parameter.name for parameter in check.kinks],
        "zeros": [parameter.name for parameter in check.judged if parameter.bprop == 0.0],
        "parameters": [asdict(parameter) for parameter in check.judged],
    }


def _picture(plan: Plan, check: GradientCheck, mode: str, size: int) -> dict[str, str]:
    title = f"circles, 2 hidden units, {mode}, K = {size}"
    alt = (
        f"Gradient check of the {mode} variant over {size} example{'s' if size > 1 else ''}: each parameter's "
        "gradients from bprop and from forward differences, and the errors against these and central differences."
    )
    return plan.show(gradient_figure(check, title), f"figures/gradients-{mode}-{size}.png", alt)
