"""What several networks predict together: the mean of their probabilities or numbers, and how sure it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpmlp.estimators._mlp import MLPClassifier
from xpmlp.nn.mixtures import entropies

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array


class Entropy(NamedTuple):
    """How uncertain an ensemble is of each example, in nats: arrays of shape (n,), or (n, m) for m labels.

    Attributes
    ----------
    total : array
        The entropy of the mean of the members' probabilities: ``expected + mutual_information``.
    expected : array
        The mean of the entropies of the members: what all of them are uncertain of, such as classes that overlap
        (aleatoric).
    mutual_information : array
        Of the class and the member: how far the members disagree, such as far from the training examples (epistemic).
    """

    total: np.ndarray
    expected: np.ndarray
    mutual_information: np.ndarray


class Variance(NamedTuple):
    """How uncertain an ensemble of regressions is of each target: arrays of shape (n,), or (n, m) for m outputs.

    Attributes
    ----------
    total : array
        The variance of the mixture of the members: ``expected + disagreement``.
    expected : array
        The mean of the variances that the members predict by the loss "gaussian": of the targets around the means
        (aleatoric). 0 for other losses.
    disagreement : array
        The variance of the members' means: how far they disagree, such as far from the training examples (epistemic).
    """

    total: np.ndarray
    expected: np.ndarray
    disagreement: np.ndarray


class Mixed(ABC):
    """What ensembles of both kinds know of their examples, and the mean of what their members give."""

    @property
    @abstractmethod
    def _first(self) -> Any:
        """A fitted estimator that knows the features and the targets."""

    @abstractmethod
    def _outputs(self, X: Any, method: str) -> tuple[Backend, Array]:
        """Return the caller's backend, and there the outputs of all members, (M, n, m)."""

    def _mean(self, X: Any, method: str) -> tuple[Backend, Array]:
        caller, outputs = self._outputs(X, method)
        return caller, caller.xp.mean(outputs, axis=0)

    @property
    def n_features_in_(self) -> int:
        """Features of X."""
        return int(self._first.n_features_in_)

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of X's columns."""
        names: np.ndarray = self._first.feature_names_in_
        return names

    @property
    def n_outputs_(self) -> int:
        """Units of the output layer."""
        return int(self._first.n_outputs_)


class MixedClasses(Mixed):
    """An ensemble that predicts classes or labels."""

    @property
    def classes_(self) -> Any:
        """The classes in order."""
        return self._first.classes_

    def predict(self, X: Any) -> np.ndarray:
        """Predict the classes of the largest mean probability; parameters as for `MLPClassifier.predict`."""
        caller, p = self._mean(X, "predict")
        return self._first._predicted(caller, p)  # noqa: SLF001 - it knows the classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the mean of the members' probabilities, (n, n_classes), or (n, m) of m labels."""
        return MLPClassifier._probabilities(*self._mean(X, "predict_proba"))  # noqa: SLF001 - as of one network

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithms of the mean probabilities, -inf where these are 0."""
        caller, p = self._mean(X, "predict_log_proba")
        with np.errstate(divide="ignore"):
            return caller.xp.log(MLPClassifier._probabilities(caller, p))  # noqa: SLF001 - as of one network

    def entropy(self, X: Any) -> Entropy:
        """Tell how uncertain the ensemble is of each example, and whether its members are, or disagree.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        Entropy
            With arrays ``total``, ``expected`` and ``mutual_information`` of shape (n,), or (n, m) for m labels, in
            nats; of X's library, on its device.
        """
        caller, outputs = self._outputs(X, "entropy")
        xp, is_labels = caller.xp, self._first._label_binarizer.y_type_.startswith("multilabel")  # noqa: SLF001 - as above
        p = xp.stack([1.0 - outputs, outputs], axis=-1) if is_labels else MLPClassifier._probabilities(caller, outputs)  # noqa: SLF001 - as above
        total, expected = entropies(xp, p)
        return Entropy(total, expected, total - expected)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()  # type: ignore[misc]  # of the BaseEstimator beside it
        tags.classifier_tags.multi_label = True
        return tags


class MixedNumbers(Mixed):
    """An ensemble that predicts real numbers."""

    def predict(self, X: Any) -> np.ndarray:
        """Predict the mean of the members' numbers, (n,) or (n, m); parameters as for `MLPRegressor.predict`."""
        _, values = self._mean(X, "predict")
        return self._columns(values)

    def predict_std(self, X: Any) -> np.ndarray:
        """Predict the standard deviation around the mean: the root of the total of `variance`.

        With the loss "gaussian" it says how far targets lie around the mean. With others it says how far the members
        are apart, and so how uncertain the ensemble is of its mean alone.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        array of shape (n,), or (n, m) for several outputs
            Of X's library, on its device; 0 for a single member of another loss.
        """
        caller, total, _, _ = self._variances(X, "predict_std")
        return caller.xp.sqrt(total)

    def variance(self, X: Any) -> Variance:
        """Tell how uncertain the ensemble is of each target, and whether its members are, or disagree.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        Variance
            With arrays ``total``, ``expected`` and ``disagreement`` of shape (n,), or (n, m) for several outputs; of
            X's library, on its device.
        """
        return Variance(*self._variances(X, "variance")[1:])

    def _variances(self, X: Any, method: str) -> tuple[Backend, Array, Array, Array]:
        """Return the caller's backend, and the variance of the mixture of the members, whole and in its two parts."""
        caller, outputs = self._outputs(X, method)
        xp, m = caller.xp, self.n_outputs_
        means, variances = outputs[..., :m], outputs[..., m:]
        disagreement = xp.var(means, axis=0)
        expected = xp.mean(variances, axis=0) if variances.shape[-1] else xp.zeros_like(disagreement)
        return caller, *map(self._columns, (expected + disagreement, expected, disagreement))

    def _columns(self, values: Array) -> Any:
        return values[:, 0] if self.n_outputs_ == 1 else values[:, : self.n_outputs_]
