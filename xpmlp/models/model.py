"""A trained model: the network with its weights, and all that it takes to predict from raw features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends import BACKENDS, Backend, get_backend
from xpmlp.backends.purity import is_pure
from xpmlp.common.errors import InputError, XpmlpWarning
from xpmlp.common.shown import Shown
from xpmlp.common.silence import silent_context
from xpmlp.common.validation import beyond_range, check_features, check_number
from xpmlp.common.wording import counted
from xpmlp.data.features import features_to_numpy
from xpmlp.data.preprocessing import encode
from xpmlp.data.tables import read_table
from xpmlp.data.tables.encodings import gaps_filled
from xpmlp.nn.mixtures import entropies, outputs_of
from xpmlp.nn.network import Layer, copy_layers, fprop, naming_own_functions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.common.shown import Content
    from xpmlp.common.types import Array, Namespace
    from xpmlp.data.preprocessing import Scaling
    from xpmlp.data.tables.preparation import TablePreparation
    from xpmlp.nn.network import Network

REAL = "biuf"  # kinds of NumPy's dtypes


@dataclass(frozen=True, repr=False)
class Model(Shown):
    """A trained network, held on the host: it predicts on any backend, whichever one trained it.

    It takes raw features, (n, d): an array of NumPy, CuPy, torch or JAX on any device, nested lists, a frame of pandas
    or Polars, a `Table`, or the path of a file that `read_table` reads. A model with a `preparation` takes the last
    three alone. It returns arrays of NumPy, whatever it is given.

    Attributes
    ----------
    network : Network
        The architecture.
    layers : list of Layer
        The weights, as NumPy arrays in the dtype of training. Those of an ensemble of M networks have a leading axis of
        M: it predicts the mean of their probabilities or values.
    classes : ndarray of shape (m,), or None
        The label that each output stands for; of one logistic output, both classes, whose second one it is the
        probability of. None for a regression.
    scaling : Scaling
        What was done to the features in training.
    feature_names : tuple of str, optional
        The columns of the training data, where they had names.
    class_names : tuple of str, optional
        What to call the classes, where the labels are mere numbers.
    multilabel : bool
        Whether each output is a label of its own, which an example has or has not.
    target_scaling : Scaling, optional
        What was done to the targets of a regression in training, an entry for each output.
    target_names : tuple of str, optional
        What is predicted: the columns of the targets in the training data, where they had names.
    preparation : TablePreparation, optional
        What became of the columns of a table in training, such as categories; `scaling` changes nothing then.
    medians : ndarray of shape (d,), optional
        Of the features of a table of numbers in training: a gap, NaN, is filled by the median of its column. Without
        medians NaN is refused.

    Raises
    ------
    InputError
        For classes that do not go with the outputs or the loss of the network, and a target scaling likewise.
    """

    network: Network
    layers: list[Layer]
    classes: np.ndarray | None
    scaling: Scaling
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    multilabel: bool = False
    target_scaling: Scaling | None = None
    target_names: tuple[str, ...] | None = None
    preparation: TablePreparation | None = None
    medians: np.ndarray | None = None

    def __post_init__(self) -> None:
        d, m, loss = self.network.sizes[0], self.network.n_targets, self.network.loss
        if self.preparation is not None and len(self.preparation.feature_names_out) != d:
            features = counted(len(self.preparation.feature_names_out), "feature")
            raise InputError(f"the preparation of the table gives {features}, but the network takes {d}.")
        if self.medians is not None and self.medians.shape != (d,):
            raise InputError(
                f"the model has {counted(self.medians.size, 'median')}, but the network takes {d} features."
            )
        if self.classes is None:
            if loss.correct is not None or self.multilabel:
                raise InputError(f"a model with loss {loss.name!r} needs the classes that its outputs stand for.")
            scaling = self.target_scaling
            if scaling is not None and not scaling.shift.shape == scaling.scale.shape == (m,):
                raise InputError(
                    f"the target scaling is one of {scaling.scale.size} targets, but there are {m} outputs."
                )
            return
        if loss.correct is None or self.target_scaling is not None:
            raise InputError(
                f"a model with classes has no real targets, as loss {loss.name!r} or a target scaling has."
            )
        if self.classes.shape != (2 if m == 1 else m,):
            raise InputError(f"the model names {self.classes.size} classes for {m} outputs.")
        if self.multilabel and m == 1:
            raise InputError("a model with a single label is a classifier of two classes: leave multilabel out.")

    @property
    def task(self) -> str:
        """What is predicted: "classification", "multilabel" or "regression"."""
        if self.classes is None:
            return "regression"
        return "multilabel" if self.multilabel else "classification"

    @property
    def n_members(self) -> int:
        """How many networks it has: several, of an ensemble."""
        W = self.layers[0].W
        return int(W.shape[0]) if W.ndim == 3 else 1

    def member(self, number: int) -> Model:
        """Return one network of an ensemble, counted from 0, as a model of its own."""
        if not 0 <= number < self.n_members:
            raise InputError(f"member is {number}, but the model has {counted(self.n_members, 'network')}, from 0.")
        if self.n_members == 1:
            return self
        return replace(self, layers=[Layer(W[number], b[number]) for W, b in self.layers])

    @property
    def units(self) -> list[float] | None:
        """What a target of 1 in training is in the target's own unit, for each output; None where it is the same."""
        return None if self.target_scaling is None else (1.0 / self.target_scaling.scale).tolist()

    @property
    def dtype(self) -> str:
        """The floating dtype of the weights."""
        return str(self.layers[0].W.dtype)

    def __repr__(self) -> str:
        network = self.network
        predicted = counted(network.n_targets, "label" if self.multilabel else "target")
        if self.task == "classification" and self.classes is not None:
            predicted = f"{len(self.classes)} classes"
        sizes = network.chain if self.n_members == 1 else f"of {self.n_members} networks {network.chain}"
        return f"<Model {sizes} of {network.n_parameters:,} parameters in {self.dtype}, {network.made_of}, {predicted}>"

    def _content(self) -> Content:
        return self.network._content()  # noqa: SLF001 - a model is a network with its weights

    def check(self, X: np.ndarray) -> None:
        """Check raw features, (n, d).

        Raises
        ------
        InputError
            For another number of features than in training, and for NaN or infinite values.
        """
        check_features(X, "X", self.feature_names)
        self.check_count(X.shape[1])

    def check_count(self, d: int) -> None:
        """Raise an `InputError` for another number of features than in training."""
        expected = self.network.sizes[0]
        if d != expected:
            raise InputError(f"X has {d} features, but the model was trained on {expected}.")

    def prepare(self, X: Any, dtype: str) -> np.ndarray:
        """Prepare raw features as in training, an array of NumPy, (n, d), in `dtype`; raises as `predict_proba`."""
        features = self._read(X)
        if self.preparation is not None:
            return self.preparation.apply(features, dtype)
        if self._fills(features) and (gaps := np.isnan(features)).any():
            features = np.where(gaps, self.medians, features)
        self.check(features)
        prepared = self.scaling.apply(features, dtype)
        if features.dtype.kind == "f" and not np.isfinite([prepared.min(), prepared.max()]).all():
            raise beyond_range("X", features.min(), features.max(), dtype)
        return prepared

    def prepare_new(self, X: Any, dtype: str, *, stacklevel: int = 4) -> np.ndarray:
        """Prepare examples to be predicted, as `prepare` does, and warn of what they have that training had not."""
        features = self._read(X)
        if unseen := self._unseen(features):
            warnings.warn(f"{'; '.join(unseen)}.", XpmlpWarning, stacklevel=stacklevel)
        return self.prepare(features, dtype)

    def _read(self, X: Any) -> Any:
        """Return raw features as a table, where there is a preparation, or else as an array of NumPy, (n, d)."""
        if self.preparation is not None:
            return read_table(X, known=self.preparation.known)
        if isinstance(X, str | Path):
            X = read_table(X, known=dict.fromkeys(self.feature_names or (), "number"))
        return features_to_numpy(X, self.feature_names)

    def _fills(self, X: np.ndarray) -> bool:
        """Whether gaps in raw features are filled by medians."""
        return self.medians is not None and X.dtype.kind == "f" and X.shape[1:] == self.medians.shape

    def _unseen(self, X: Any) -> list[str]:
        """Say of each column of what `_read` returned what it has that training had not, in a clause."""
        if self.preparation is not None:
            return self.preparation.unseen(X)
        if self.medians is None or not self._fills(X):
            return []
        names = self.feature_names or [f"column {number}" for number in range(1, X.shape[1] + 1)]
        found = zip(names, np.isnan(X).sum(axis=0).tolist(), self.medians, strict=True)
        return [f"column {name!r} has {gaps_filled(n_gaps, f'{median:g}')}" for name, n_gaps, median in found if n_gaps]

    def encode_targets(self, y: np.ndarray) -> np.ndarray:
        """Return the targets of the network, (n, m), for what is to be predicted, (n,) or (n, m).

        Labels become one-hot, values are scaled as in training, and labels of their own stay 0 or 1.

        Raises
        ------
        InputError
            For labels that are not among the classes, and another number of columns than outputs.
        """
        if self.classes is not None and not self.multilabel:
            T = encode(y, self.classes)
            return T[:, 1:] if self.network.n_targets == 1 else T
        T = y.reshape(y.shape[0], -1)
        if T.shape[1] != self.network.n_targets:
            raise InputError(
                f"y has {counted(T.shape[1], 'column')}, but the model has {self.network.n_targets} outputs."
            )
        return T if self.target_scaling is None else self.target_scaling.apply(T)

    def predict_proba(self, X: Any, backend: Backend | str | None = None) -> np.ndarray:
        """Return the probability of each class, or with `multilabel` of each label.

        Categories that training had not, and gaps where it had none, are counted in a warning (`XpmlpWarning`).

        Parameters
        ----------
        X : array, tensor, nested lists, frame, Table or path, (n, d)
            Raw features, as in the training data. Where the training data and the columns of a frame or a table have
            names, columns are taken by name, and others are left alone; else they have to be in the order of training.
        backend : Backend or str, optional
            Where to compute: a backend, or the name of one, which is opened in the dtype of the weights. NumPy by
            default, whatever library `X` is of.

        Returns
        -------
        ndarray of shape (n, m)
            On the host, in the dtype of the backend, in the order of `classes`. A row of softmax sums to 1, and so does
            one of two classes.

        Raises
        ------
        InputError
            For a regression, which has no classes; another number of features than in training, columns that are
            missing, values that are not numbers (or not of the kind that the column had in training), NaN, infinite or
            beyond the backend's dtype, and for anything that is not one of these kinds of `X` and `backend`.
        BackendError
            Where the backend named cannot be used.
        """
        self.check_probabilities()
        return self.probabilities_of(self._outputs(X, backend))

    def predict(self, X: Any, backend: Backend | str | None = None) -> np.ndarray:
        """Return what is predicted for each row.

        Parameters and errors are those of `predict_proba`.

        Returns
        -------
        ndarray of shape (n,), or (n, m)
            The most probable class; with `multilabel`, (n, m), a 1 for each label that is more probable than not, else
            a 0; of a regression the value, in float64 and in the target's own unit, (n, m) for several outputs.
        """
        return self.predictions_of(self._outputs(X, backend))

    def predictor(self, rows: int = 1, backend: Backend | str | None = None) -> Predictor:
        """Return what predicts the same for so many rows at a time in less time: made once, called often.

        It has memory of its own, so one thread at a time uses it. `Predictor` says what it takes.

        Parameters
        ----------
        rows : int
            How many rows each call is given.
        backend : Backend or str, optional
            Where to compute, as for `predict_proba`.

        Raises
        ------
        InputError
            For fewer rows than one, and more than the backend computes at once.
        BackendError
            Where the backend named cannot be used.
        """
        return Predictor(self, rows, _opened(backend, self.dtype))

    def predict_std(self, X: Any, backend: Backend | str | None = None) -> np.ndarray:
        """Return a standard deviation around what is predicted for each row: the second array of `predict_with_std`."""
        return self.predict_with_std(X, backend)[1]

    def predict_with_std(self, X: Any, backend: Backend | str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return what is predicted for each row, and a standard deviation around it.

        With the loss "gaussian" it is that of the target. Of an ensemble with another loss it is that of its members'
        predictions, which tells how uncertain the mean is. Parameters and errors are those of `predict_proba`; an
        `InputError` too for a single network with another loss, and for classes.

        Returns
        -------
        values : ndarray of shape (n,), or (n, m)
            In float64 and in the target's own unit.
        deviations : ndarray of shape (n,), or (n, m)
            Likewise.
        """
        if not self.has_deviations:
            raise InputError(
                f"the model has loss {self.network.loss.name!r}, but only 'gaussian', and ensembles of regressions, "
                "predict deviations."
            )
        outputs = self._outputs(X, backend, of_each=not self.has_variance).astype(np.float64)
        if self.has_variance:
            values, variance = self.network.loss.blocks(outputs)
            deviations = np.sqrt(variance)
        else:
            values, deviations = outputs.mean(axis=0), outputs.std(axis=0)
        if self.target_scaling is not None:
            values, deviations = self.target_scaling.invert(values), deviations / self.target_scaling.scale
        return (values[:, 0], deviations[:, 0]) if values.shape[1] == 1 else (values, deviations)

    def predict_with_disagreement(self, X: Any, backend: Backend | str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities of the classes for each row, and how far the members of an ensemble disagree on it.

        The second is the mutual information of the class and the member: 0 where all have the same probabilities.
        Parameters and errors are those of `predict_proba`; an `InputError` too for a single network, and with
        `multilabel`.

        Returns
        -------
        p : ndarray of shape (n, m)
            The means of the members' probabilities, in float64.
        disagreement : ndarray of shape (n,)
            In nats.
        """
        if not self.has_disagreement:
            raise InputError("the model has no members that could disagree on the class of a row.")
        p = self._outputs(X, backend, of_each=True).astype(np.float64)
        p = np.concatenate([1.0 - p, p], axis=-1) if p.shape[-1] == 1 else p
        total, expected = entropies(np, p)
        return p.mean(axis=0), np.maximum(total - expected, 0.0)  # below 0 by rounding alone

    @property
    def has_disagreement(self) -> bool:
        """Whether it is an ensemble that decides on one class for each row."""
        return self.n_members > 1 and self.classes is not None and not self.multilabel

    @property
    def has_variance(self) -> bool:
        """Whether the network has a variance for each target, by the loss "gaussian"."""
        return self.network.loss.outputs_per_target == 2

    @property
    def has_deviations(self) -> bool:
        """Whether it predicts a standard deviation beside each value."""
        return self.has_variance or (self.n_members > 1 and self.classes is None)

    def check_probabilities(self) -> None:
        """Raise an `InputError` for a regression."""
        if self.classes is None:
            raise InputError("the model is a regression, which has no probabilities: `predict` gives its values.")

    def probabilities_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return the probability of each class, as `predict_proba` does, from outputs of the network, (n, m)."""
        return np.hstack([1.0 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def predictions_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return what is predicted, as `predict` does, from outputs of the network, (n, m)."""
        if self.classes is not None:
            return self.decide(self.probabilities_of(outputs))
        values = self.network.loss.blocks(outputs)[0].astype(np.float64)
        values = values if self.target_scaling is None else self.target_scaling.invert(values)
        return values[:, 0] if values.shape[1] == 1 else values

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return the classes or labels, as `predict` does, from their probabilities, (n, m)."""
        if self.classes is None:
            raise InputError("the model is a regression, which has no classes to decide on.")
        return (p > 0.5).astype(np.int64) if self.multilabel else self.classes[np.argmax(p, axis=1)]

    def _outputs(self, X: Any, backend: Backend | str | None, *, of_each: bool = False) -> np.ndarray:
        """Return the outputs, (n, m): of an ensemble those of its mixture, or `of_each` of its networks, (M, n, m)."""
        backend = _opened(backend, self.dtype)
        prepared, chunks = self.prepare_new(X, backend.dtype), []
        what, remedy = f"{self.network}, to predict", "fewer examples at a time"
        with backend.computing(what, remedy), naming_own_functions(self.network):
            layers = [Layer(backend.asarray(W), backend.asarray(b)) for W, b in self.layers]
            for start in range(0, prepared.shape[0], backend.rows_at_a_time):
                rows = backend.asarray(prepared[start : start + backend.rows_at_a_time])
                function = _outputs_of_each if of_each else outputs_of
                chunks.append(backend.to_numpy(function(backend.xp, self.network, layers, rows)))
        return np.concatenate(chunks, axis=-2)


class Predictor:
    """What predicts a fixed number of rows at a time, for a service: `Model.predictor` makes it.

    It gives what the model gives for as many rows: on NumPy to the last bit, from a recording of its calls. On other
    backends it is a function compiled by `Backend.compile`, which rounds as it likes.

    It takes what the model takes, an array of NumPy in least time: raw features, (rows, d), floating or whole numbers
    such as 8-bit pixels. A model with a preparation takes a frame, a `Table` or a path, whose reading takes longer than
    the network.

    A predictor is used by one thread at a time, as its memory is its own: make one for each. What it returns is the
    caller's.

    Parameters
    ----------
    model : Model
        The trained model.
    rows : int
        How many rows each call is given.
    backend : Backend
        Where to compute.

    Examples
    --------
    >>> import numpy as np
    >>> from xpmlp import MLPClassifier
    >>> X = np.arange(20.0).reshape(10, 2)
    >>> model = MLPClassifier(random_state=0, max_iter=10, solver="sgd").fit(X, X[:, 0] > 9).to_model()
    >>> predictor = model.predictor()
    >>> predictor.predict(X[:1]) == model.predict(X[:1])
    array([ True])
    """

    def __init__(self, model: Model, rows: int, backend: Backend) -> None:
        check_number("rows", rows, at_least=1, at_most=backend.rows_at_a_time, integer=True)
        network = model.network
        self._model, self._backend, self._shape = model, backend, (int(rows), network.sizes[0])
        with backend.computing(f"{network}, to predict", "fewer rows"), naming_own_functions(network):
            layers, function = copy_layers(backend, model.layers), partial(outputs_of, backend.xp, network)
            self._rows, self._evaluate = backend.evaluator(
                function, layers, self._shape, compile_whole=is_pure(network)
            )
        self._flat, self._silently = self._rows.reshape(-1), silent_context().run
        self._dot = self._flat.dot
        self._scale = model.scaling.into(self._rows) if model.preparation is None else None

    def __repr__(self) -> str:
        return f"<Predictor of {counted(self._shape[0], 'row')} by {self._model.network} on {self._backend!r}>"

    def __reduce__(self) -> Any:
        return Predictor, (self._model, self._shape[0], self._backend)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, or with `multilabel` of each label, as `Model.predict_proba` does.

        Parameters
        ----------
        X : array, tensor, nested lists, frame, Table or path, (rows, d)
            Raw features, as `Model.predict_proba` takes them.

        Returns
        -------
        ndarray of shape (rows, m)
            In new memory of the host.

        Raises
        ------
        InputError
            For another number of rows, and as `Model.predict_proba`.
        """
        self._model.check_probabilities()
        return self._model.probabilities_of(self._outputs(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return what is predicted for each row, as `Model.predict` does; parameters and errors are as above."""
        return self._model.predictions_of(self._outputs(X))

    def _outputs(self, X: Any) -> np.ndarray:
        if self._scale is None or type(X) is not np.ndarray or X.shape != self._shape or X.dtype.kind not in REAL:
            self._prepare(X)
        else:
            self._scale(X)
            # A sum of squares is finite only if all numbers are; where it is not, `prepare` says why or fills gaps.
            if X.dtype.kind == "f" and not isfinite(self._silently(self._dot, self._flat)):
                self._prepare(X)
        return self._evaluate()

    def _prepare(self, X: Any) -> None:
        prepared = self._model.prepare_new(X, self._backend.dtype, stacklevel=5)
        if prepared.shape != self._shape:
            n = prepared.shape[0]
            raise InputError(f"X has {counted(n, 'row')}, but this predictor takes {self._shape[0]}: make one for {n}.")
        self._rows[...] = prepared


def _outputs_of_each(xp: Namespace, network: Network, layers: Sequence[Layer], X: Array) -> Array:
    return fprop(xp, network, layers, X).a[-1]


def _opened(backend: object, dtype: str) -> Backend:
    """Return where a model is to compute, which may be given by name."""
    if isinstance(backend, Backend):
        return backend
    if backend is None or isinstance(backend, str):
        return get_backend("numpy" if backend is None else backend, dtype=dtype)
    kind, known = type(backend).__name__, ", ".join(BACKENDS)
    raise InputError(f"backend is {kind}, but must be a Backend, or the name of one: {known}.")
