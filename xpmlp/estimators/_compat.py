"""Every private part of scikit-learn that the estimators use, and why no public part serves.

A private part may change with any release of scikit-learn. The releases known to have all of them are in `SUPPORTED`
and in pyproject.toml; where one is missing, the import ends with an error that says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sklearn.utils import metaestimators

from xpmlp.common.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xpmlp.data.examples import Examples

__all__ = [  # of what is imported here for the other modules
    "AdamOptimizer",
    "CallbackSupportMixin",
    "Interval",
    "SGDOptimizer",
    "StrOptions",
    "check_feature_names_in",
    "check_optimize_result",
    "check_sample_weight",
    "in_container",
    "rows_of",
]

SUPPORTED = ">=1.9,<1.10"

Method = TypeVar("Method", bound=Callable[..., Any])
RunIteration = Callable[[Callable[[], None], Callable[[], dict[str, Any]]], bool]

try:
    # A method decorated with this checks the parameters, turns off the same checks in what it calls, and ends the
    # callbacks. Public: `with_callbacks` does the last, `config_context` the second, and nothing the first.
    from sklearn.base import _fit_context

    # Public, but new in 1.9: an older release has to be told of here too.
    from sklearn.callback import CallbackSupportMixin
    from sklearn.metrics import get_scorer
    from sklearn.neural_network import MLPClassifier

    # The state of momentum and of Adam, with which a fitted estimator of scikit-learn goes on in `partial_fit`. Public:
    # nothing reads or sets it.
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    # Some rows of what `fit` may be given: an array, a frame, a list. Public: documented, in spite of its name.
    from sklearn.utils import _safe_indexing as rows_of

    # What a parameter may be, and the messages where it is something else. Public: `check_scalar` is for numbers only,
    # and its messages are others.
    from sklearn.utils._param_validation import Interval, StrOptions

    # Puts what `transform` returns into a frame where `set_output` asks for one. Public: `set_output` wraps `transform`
    # itself, and knows the names of one layer alone.
    from sklearn.utils._set_output import _wrap_data_with_container as in_container

    # The warning of L-BFGS that did not converge. Public: nothing; user code matches its words.
    from sklearn.utils.optimize import _check_optimize_result as check_optimize_result

    # The names of X's columns, as given, as in the fit, or x0, x1, ...; checked. Public: transformers that have them.
    from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in

    # Public: `check_array` checks numbers, but neither the length nor that one weight is not 0.
    from sklearn.utils.validation import _check_sample_weight as check_sample_weight

    # What scikit-learn's MLP allows for each parameter, so that ours allows the same. Public: nothing.
    THEIR_CONSTRAINTS: dict[str, list[Any]] = MLPClassifier._parameter_constraints  # noqa: SLF001 - see above
except (ImportError, AttributeError) as error:
    raise BackendError(
        f"xpmlp's estimators need scikit-learn {SUPPORTED}, but scikit-learn {version('scikit-learn')} is installed, "
        f"which lacks a part of it: {error}. Install it with: pip install 'scikit-learn{SUPPORTED}'"
    ) from error


def fit_method(method: Method) -> Method:
    """Check the estimator's parameters before a method that fits, and end its callbacks afterwards."""
    return cast("Method", _fit_context(prefer_skip_nested_validation=True)(method))


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """Return scikit-learn's decorator of this name, which is public, but hides a method's types."""
    return cast("Callable[[Method], Method]", metaestimators.available_if(check))


def takes_weights(scoring: str | Callable[..., float]) -> bool:
    """Whether a scorer, or the metric it is made of, takes `sample_weight`; or anything at all by its name."""
    scorer = get_scorer(scoring)
    # Public: nothing; every scorer of scikit-learn takes sample_weight and hands it on to its metric.
    parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters.values()
    return any(each.name == "sample_weight" or each.kind is each.VAR_KEYWORD for each in parameters)


@contextmanager
def fit_task(estimator: Any, given: Examples) -> Iterator[RunIteration]:
    """Tell an estimator's callbacks that a fit begins and, unless an error is raised, that it ends.

    Yields ``run_iteration(iteration, fitted)``, which calls ``iteration()``, tells the callbacks of it, and returns
    whether one of them asks for an end. ``fitted()`` returns the attributes that make the estimator a fitted one as it
    is then.
    """
    metadata = {} if given.weights is None else {"sample_weight": given.weights}
    about = {"estimator": estimator, "X": given.X, "y": given.T, "metadata": metadata}
    # Public: nothing; scikit-learn documents this method as the way to support callbacks.
    context = estimator._init_callback_context(max_subtasks=estimator.max_iter)  # noqa: SLF001 - see above

    def run_iteration(iteration: Callable[[], None], fitted: Callable[[], dict[str, Any]]) -> bool:
        if not hasattr(estimator, "_skl_callbacks"):  # there is nobody to tell
            iteration()
            return False
        subtask = context.subcontext(task_name="iteration")
        subtask.call_on_fit_task_begin(**about)
        iteration()
        return bool(subtask.call_on_fit_task_end(**about, reconstruction_attributes=fitted))

    context.call_on_fit_task_begin(**about)
    yield run_iteration
    context.call_on_fit_task_end(**about)
