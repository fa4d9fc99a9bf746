"""Looking into a fitted network: its score, its layers, its hidden features, and which examples pull at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from xpmlp.estimators._places import to_host
from xpmlp.nn.network import backward, fprop

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.network import Layer, Network

__all__ = ["InspectionMixin"]


class InspectionMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """What an estimator tells of its network."""

    def score(self: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
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
        predicted = to_host(self.predict(X))
        return float(self._measure(to_host(y), predicted, sample_weight=to_host(sample_weight)))

    def transform(self: Any, X: Any, layer: int = -2) -> Any:
        """Return the activations of a layer: features that the network has learnt.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.
        layer : int
            0 for the input, 1 for the first hidden layer, -1 for the output, -2 for the last hidden layer.

        Returns
        -------
        array of shape (n, units)
            Of X's library, on its device.

        Raises
        ------
        IndexError
            For a layer that the network does not have.
        """

        def activations(xp: Namespace, network: Network, layers: list[Layer], X: Array) -> Array:
            return fprop(xp, network, layers, X).a[layer]

        check_is_fitted(self)
        if not -self.n_layers_ <= layer < self.n_layers_:
            raise IndexError(f"layer is {layer}, but the network has {self.n_layers_}: 0 to {self.n_layers_ - 1}.")
        place, a = self._forward(X, "transform", activations)
        return place.give(a)

    def sample_gradient_norms(self: Any, X: Any, y: Any) -> Any:
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
            is |x|^2 |delta|^2, and |delta|^2 for the biases (Goodfellow, 2015, arXiv:1510.01799).
        """
        check_is_fitted(self)
        X = self._validated(X)
        place = self._place_at(X, "sample_gradient_norms")
        backend, network = place.backend, self._fitted_network()
        xp = backend.xp
        what = f"{network}, with all {X.shape[0]:,} examples at once"
        with backend.computing(what, "fewer examples at a time"):
            layers = place.layers(self.coefs_, self.intercepts_)
            examples, T = place.bring(X), backend.asarray(self._checked_targets(X, y))
            trace = fprop(xp, network, layers, examples)
            deltas = backward(xp, network, layers, trace, T)
            squares = [
                (_square_norms(xp, x) + 1.0) * _square_norms(xp, delta)
                for x, delta in zip(trace.x, deltas, strict=True)
            ]
            return place.give(xp.sqrt(sum(squares[1:], squares[0])))

    def summary(self: Any) -> str:
        """Return a table of the layers, their shapes and their numbers of parameters."""
        check_is_fitted(self)
        names = [*(activation.name for activation in self._fitted_network().activations), self.out_activation_]
        shapes = [tuple(W.shape) for W in self.coefs_]
        rows = [("layer", "shape", "activation", "parameters")]
        rows += [
            (str(number), f"{fan_in} x {fan_out}", name, f"{fan_out * (fan_in + 1):,}")
            for number, ((fan_in, fan_out), name) in enumerate(zip(shapes, names, strict=True), start=1)
        ]
        rows.append(("total", "", "", f"{sum(fan_out * (fan_in + 1) for fan_in, fan_out in shapes):,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1].rjust(widths[-1])]
            )
            for row in rows
        )

    @property
    def _n_features_out(self: Any) -> int:
        """The units of the last hidden layer: what `transform` gives, for the names of its columns."""
        return int(self.coefs_[-1].shape[0])

    def __sklearn_tags__(self: Any) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _square_norms(xp: Namespace, x: Array) -> Array:
    """|x|^2 of each row, (K,)."""
    return xp.sum(x * x, axis=1)
