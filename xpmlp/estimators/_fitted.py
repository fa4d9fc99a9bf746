"""What a fitted estimator can do: predict, show its network, and move between libraries, devices and processes."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scipy import sparse
from sklearn.base import TransformerMixin, is_regressor
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from xpmlp.backends import backend_of, check_known, get_backend
from xpmlp.common.errors import BackendError, InputError, XpmlpWarning
from xpmlp.common.validation import check_choice, one_for_each
from xpmlp.common.wording import counted
from xpmlp.estimators._checks import check_numbers, needs_no_check
from xpmlp.estimators._features import HiddenFeatures
from xpmlp.estimators._parameters import Parameters
from xpmlp.estimators._placement import (
    DeviceMixin,
    dispatching,
    float_dtype,
    labels_in,
    library_of,
    move,
    open_device,
    place,
    readable,
    to_host,
)
from xpmlp.estimators._progress import plain
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.network import Network, backward, fprop
from xpmlp.training.scoring import outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from sklearn.utils import Tags

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.estimators._placement import Placement
    from xpmlp.nn.activations import Activation
    from xpmlp.nn.losses import Loss


class Scored(ABC):
    """What scores its predictions: a network or several."""

    _measure: ClassVar[Callable[..., float]]  # scikit-learn's score of predictions, on the host

    @abstractmethod
    def predict(self, X: Any) -> np.ndarray:
        """Predict classes or real numbers, of X's library."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of a classifier, or the coefficient of determination of a regressor.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.
        y : array of shape (n,) or (n, m)
            Their targets.
        sample_weight : array of shape (n,), optional
            What each example counts.

        Returns
        -------
        float
            At most 1.
        """
        predicted, y, sample_weight = to_host(self.predict(X)), readable(y), readable(sample_weight)
        check_numbers(sample_weight, "sample_weight")
        if is_regressor(self):
            check_numbers(y, "y")
            y = y.toarray() if sparse.issparse(y) else y
        return float(self._measure(to_host(y), predicted, sample_weight=to_host(sample_weight)))


class FittedMLP(HiddenFeatures, TransformerMixin, Scored, Parameters, DeviceMixin, ABC):
    """What both kinds of estimator can do once they are fitted.

    Attributes
    ----------
    coefs_ : list of array
        The weights of each layer, (fan_in, fan_out), in X's library and on X's device.
    intercepts_ : list of array
        The biases of each layer, (fan_out,).
    loss_ : float
        The loss of the last epoch, penalties included; for "lbfgs", the last loss.
    best_loss_ : float or None
        The lowest loss of an epoch; None with `early_stopping`. "lbfgs" leaves neither this nor the next four.
    loss_curve_ : list of float
        The loss of every epoch.
    validation_loss_curve_ : list of float
        The mean loss of the validation set after every epoch, without penalties. Only there where there was such a set.
    validation_scores_ : list of float or None
        The score of the validation set after every epoch; None where `early_stopping` watches none.
    best_validation_score_ : float or None
        The best of these.
    n_iter_ : int
        Epochs, or iterations of "lbfgs", of the last fit.
    t_ : int
        Examples trained on, those of all epochs added up.
    n_layers_ : int
        Layers, the input and the output included.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        The function of the output layer.
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        The names of X's columns. Only there where X was a frame whose columns all have names.
    """

    hidden_layer_sizes: int | Sequence[int]
    activation: str | Activation | Sequence[str | Activation]
    # To type checkers, arrays are NumPy's, as they are without `array_api_dispatch`.
    classes_: np.ndarray  # of a classifier
    intercepts_: list[np.ndarray]
    n_features_in_: int
    n_outputs_: int
    out_activation_: str

    # What each kind of estimator decides.

    @abstractmethod
    def _targets(self, y: Any) -> np.ndarray:
        """Turn targets into what the network learns, (n, m), on the host."""

    @abstractmethod
    def _labels(self, T: np.ndarray) -> Any:
        """Turn targets as the network learns them, or its outputs, into what `predict` returns, on the host."""

    @abstractmethod
    def _score_outputs(self, a: np.ndarray, T: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """Return what `score` gives for outputs and targets as the network has them, on the host, without its checks.

        It is NaN for amounts that are not finite; labels are some, whatever the outputs, as in scikit-learn.
        """

    @abstractmethod
    def _output_loss(self) -> tuple[Loss, str]:
        """Return the loss with its output function, and scikit-learn's name of the latter."""

    # Predicting.

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def _checked_examples(self, X: Any, name: str = "X") -> Any:
        """Check examples other than those of the fit."""
        if needs_no_check(X, self.n_features_in_) and not hasattr(self, "feature_names_in_"):
            return X
        X = readable(X)
        check_numbers(X, name)
        return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    def _checked_targets(self, X: Any, y: Any, name: str = "y") -> np.ndarray:
        """Check the targets of examples other than those of the fit, as the fit checks its own."""
        y = readable(y)
        if is_regressor(self):
            check_numbers(y, name)
        y = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None, input_name=name)
        check_consistent_length(X, y)
        T = self._targets(y)
        assert_all_finite(T, input_name=name)
        self._check_outputs(T)
        return T

    def _check_outputs(self, T: np.ndarray) -> None:
        if T.shape[1] != self.n_outputs_:
            given = counted(T.shape[1], "output")
            raise ValueError(f"The targets have {given}, but the network has {self.n_outputs_}.")

    def _placed(self, X: Any, method: str, whose: str | None = None) -> Placement:
        """Return where to compute on checked examples; refuse them where the weights are elsewhere.

        The message names a method: this estimator's, or that of the one `whose` member it is.
        """
        placement = place(X, self.device, float_dtype(self.coefs_[0]))
        if dispatching() and not sparse.issparse(X) and not placement.is_callers(self.coefs_[0]):
            where = f"{placement.caller.name}:{placement.caller.device_name}"
            name = f"{whose or type(self).__name__}.{method}()"
            raise ValueError(
                f"Inputs passed to {name} must use the same namespace and the same device as those passed to "
                f"fit(): these are on {where}. Move the estimator with estimator.to({where!r})."
            )
        return placement

    def _forward(self, X: Any, method: str, layer: int = -1, whose: str | None = None) -> tuple[Backend, Array]:
        """Return the caller's backend, and there the activations of a layer, (n, units)."""
        check_is_fitted(self)
        X = self._checked_examples(X)
        placement, network = self._placed(X, method, whose), self._fitted_network()
        backend = placement.backend
        with backend.computing(f"{network}, to predict {X.shape[0]:,} examples", "fewer examples at a time"):
            layers = placement.layers(self.coefs_, self.intercepts_)
            x = placement.to_compute(X)
            a = outputs(backend, lambda layers, x: fprop(backend.xp, network, layers, x).a[layer], layers, x)
            return placement.caller, placement.to_caller(a)

    def _fitted_network(self) -> Network:
        # `Network.build` would check again what the fit has checked, which slows the prediction of a single row.
        sizes = (self.coefs_[0].shape[0], *(W.shape[1] for W in self.coefs_))
        names: tuple[str | Activation, ...] = one_for_each(
            "activation", self.activation, len(sizes) - 2, "hidden layer"
        )
        for name in names:
            if isinstance(name, str):
                check_choice("activation", name, ACTIVATIONS)
        activations = tuple(ACTIVATIONS[name] if isinstance(name, str) else name for name in names)
        loss, _ = self._output_loss()
        return Network(sizes, activations, loss, dropout=(0.0,) * len(self.coefs_))

    # Looking into the network.

    def sample_gradient_norms(self, X: Any, y: Any) -> np.ndarray:
        """Return the norm of each example's own gradient: large for examples that are hard, rare or mislabelled.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.
        y : array of shape (n,) or (n, m)
            Their targets.

        Returns
        -------
        array of shape (n,)
            The Euclidean norm, over all weights and biases, of the gradient of each example's loss without penalty; of
            X's library, on its device. The squared errors of several outputs are summed, as for the gradients of the
            training. No gradient of an example is ever formed: that of a layer is x (outer) delta, so its squared norm
            is ``|x|^2 |delta|^2``, and ``|delta|^2`` for the biases (Goodfellow, 2015, arXiv:1510.01799).
        """
        check_is_fitted(self)
        X = self._checked_examples(X)
        placement, network = self._placed(X, "sample_gradient_norms"), self._fitted_network()
        backend, xp = placement.backend, placement.backend.xp
        with backend.computing(f"{network}, with all {X.shape[0]:,} examples at once", "fewer examples at a time"):
            layers = placement.layers(self.coefs_, self.intercepts_)
            trace = fprop(xp, network, layers, placement.to_compute(X))
            deltas = backward(xp, network, layers, trace, backend.asarray(self._checked_targets(X, y)), 1.0)
            squares = [
                (xp.sum(x * x, axis=1) + 1.0) * xp.sum(delta * delta, axis=1)
                for x, delta in zip(trace.x, deltas, strict=True)
            ]
            norms: np.ndarray = placement.to_caller(xp.sqrt(sum(squares[1:], squares[0])))
            return norms

    def summary(self) -> str:
        """Return a table of the layers, their shapes, activations and numbers of parameters."""
        check_is_fitted(self)
        network = self._fitted_network()
        names = [*(activation.name for activation in network.activations), self.out_activation_]
        rows = [("layer", "shape", "activation", "parameters")]
        for number, ((fan_in, fan_out), name) in enumerate(zip(network.shapes, names, strict=True), start=1):
            rows.append((str(number), f"{fan_in} x {fan_out}", name, f"{fan_out * (fan_in + 1):,}"))
        rows.append(("total", "", "", f"{network.n_parameters:,}"))
        *widths, last = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join("  ".join([*map(str.ljust, row, widths), row[-1].rjust(last)]) for row in rows)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # Moving.

    def to(self, device: str) -> Self:
        """Move the fitted weights to another library or device.

        Parameters
        ----------
        device : str
            "cpu", "cuda:0", the name of a backend, or both, such as "torch:cuda:0".

        Returns
        -------
        self
            It now takes arrays of that library on that device.

        Raises
        ------
        InputError, BackendError
            For a device that is unknown or cannot be used: the weights stay where they are then.
        """
        check_is_fitted(self)
        self._move(open_device(device, float_dtype(self.coefs_[0])))
        return self

    def _move(self, backend: Backend, *, with_classes: bool = True) -> None:
        moved = [[move(p, backend) for p in arrays] for arrays in (self.coefs_, self.intercepts_)]
        self.coefs_, self.intercepts_ = moved
        if with_classes and hasattr(self, "classes_"):
            self.classes_ = labels_in(backend, to_host(self.classes_))

    def __getstate__(self) -> dict[str, Any]:
        """Keep arrays as NumPy's, and note where they were: a pickle loads where that library is missing."""
        state = dict(super().__getstate__())
        if "coefs_" in state:
            backend = backend_of(state["coefs_"][0], float_dtype(state["coefs_"][0]))
            classes_too = library_of(state.get("classes_")) is not None
            state["_was_on"] = (backend.name, backend.device_name, backend.dtype, classes_too)
        return state | {name: plain(state[name]) for name in ("coefs_", "intercepts_", "classes_") if name in state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        library, device, dtype, classes_too = state.pop("_was_on", ("numpy", "cpu", "float64", False))
        super().__setstate__(state)
        if library == "numpy":
            return
        try:
            check_known(library, "it")
            self._move(get_backend(library, device, dtype), with_classes=classes_too)
        except (BackendError, InputError) as error:
            warnings.warn(
                f"this model was fitted with {library} on {device}, which cannot be used here: {error} "
                "Its weights are NumPy arrays now, and it takes NumPy arrays.",
                XpmlpWarning,
                stacklevel=3,
            )
