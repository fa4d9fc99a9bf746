"""An experiment: from plain options to a network, its data on a backend, and a way to train it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xpmlp.backends import device_for_rank, get_backend
from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.validation import check_choice, check_number
from xpmlp.common.wording import counted
from xpmlp.data.datasets import load_dataset, refuse_reading, split
from xpmlp.data.examples import Examples, QuantizedExamples
from xpmlp.data.features import positions_of
from xpmlp.data.preprocessing import SCALINGS, Scaling, encode
from xpmlp.data.streams import Part, Stream, StreamedData, is_streamed, load_stream
from xpmlp.data.tables import Table
from xpmlp.data.tables.preparation import TablePreparation
from xpmlp.experiments.options import CIRCLES, Options
from xpmlp.models.model import Model
from xpmlp.nn.dropout import mask_function
from xpmlp.nn.gradcheck import check_gradients
from xpmlp.nn.initializers import INITIALIZERS, initialize
from xpmlp.nn.network import Layer, Network
from xpmlp.nn.optimizers import build_optimizer
from xpmlp.nn.regularization import ElasticNet
from xpmlp.nn.schedules import SCHEDULES, build_schedule
from xpmlp.training import Recipe, steps_per_epoch, train
from xpmlp.training.scoring import make_scorer, score_rows, to_score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.datasets import Dataset, Splits
    from xpmlp.data.examples import StreamedExamples
    from xpmlp.data.tables import Column
    from xpmlp.distributed import Communicator
    from xpmlp.nn.gradcheck import GradientCheck
    from xpmlp.training import Record
    from xpmlp.training.scoring import Score

Value = TypeVar("Value")

EPOCHS, MIN_STEPS = 30, 1500  # of a training, where the options leave it open
PIECE = 2**20  # bytes of the data that are hashed at a time


@dataclass(frozen=True)
class Experiment:
    """A network ready to be trained.

    Attributes
    ----------
    options : Options
        What it was made from; the number of epochs is settled, and the path of a file is absolute.
    dataset : Dataset or StreamedData
        The data, as they were loaded, or what is known of those that are read from disk by rows.
    backend : Backend
        Where it computes.
    model : Model
        The network with its initial weights, its classes and its scaling.
    recipe : Recipe
        How it is trained.
    sets : dict of str to (X, T)
        "train", and "validation" and "test" where there are such parts: scaled and one-hot, on the backend; or a
        `Stream` of them and None.
    communicator : Communicator, optional
        The other processes that train it, each with an experiment of its own.
    """

    options: Options
    dataset: Dataset | StreamedData
    backend: Backend
    model: Model
    recipe: Recipe
    sets: dict[str, tuple[Array | QuantizedExamples | StreamedExamples, Array | None]]
    communicator: Communicator | None = None

    def __str__(self) -> str:
        sizes = "-".join(map(str, self.model.network.sizes))
        batch_size = min(self.options.batch_size, self.sets["train"][0].shape[0])
        ranks = "" if self.communicator is None else f", {counted(self.communicator.size, 'rank')}"
        return (
            f"{self.dataset.name}: {sizes}, {self.options.optimizer} at {self.options.highest_rate:g}, "
            f"K = {batch_size}, {self.backend.name} on {self.backend.device_name} in {self.backend.dtype}{ranks}"
        )

    def __repr__(self) -> str:
        return f"Experiment({self})"

    @cached_property
    def data_sha256(self) -> str:
        """The fingerprint of the data, by which a run knows them again."""
        return fingerprint(self.dataset)

    def records(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        on_step: Callable[[int], None] = lambda _: None,
        resume: Record | None = None,
    ) -> Iterator[Record]:
        """Train, scoring every part after each epoch; parameters as for `train`."""
        X, T = self.sets["train"]
        return train(
            self.backend,
            self.model.network,
            self.model.layers,
            X,
            T,
            self.recipe,
            evaluate=self.sets,
            should_stop=should_stop,
            on_step=on_step,
            resume=resume,
            communicator=self.communicator,
        )

    def trained(self, layers: Sequence[Layer]) -> Model:
        """Return the model with weights of the backend in place of the initial ones."""
        to_numpy = self.backend.to_numpy
        return replace(self.model, layers=[Layer(to_numpy(W), to_numpy(b)) for W, b in layers])


def load_splits(options: Options, *, progress: bool = False) -> tuple[Dataset | StreamedData, Splits[Any]]:
    """Load the data of some options and part them: the same options always give the same parts.

    Those that are read from disk by rows are not loaded, and are parted by blocks, as `load_stream` does.
    """
    source, target = options.dataset, options.target
    shares: Any = {"validation": options.validation, "test": options.test, "seed": options.seed}
    if is_streamed(source):
        refuse_reading(source, options.reading)
        return load_stream(source, target=target, **shares)
    dataset = load_dataset(source, data_dir=options.data_dir, target=target, reading=options.reading, progress=progress)
    return dataset, split(dataset, **shares)


def check_options(options: Options) -> None:
    """Check options by themselves, before a backend is opened and data are loaded.

    Raises
    ------
    InputError
        For the first one that cannot be used.
    """
    check_choice("schedule", options.chosen_schedule, SCHEDULES)
    check_choice("init", options.init, INITIALIZERS)
    check_choice("scaling", options.scaling, ["auto", *SCALINGS])
    _recipe(options)
    if options.patience is not None and not options.validation:
        raise InputError("patience waits for a better loss on the validation part: give --validation a share above 0.")
    if options.patience is None and options.min_delta is not None:
        raise InputError("min_delta is an option of patience: give --patience too, or leave it out.")
    check_number("learning rate", options.highest_rate, above=0)
    _network(options, 1, 2)


def prepare(options: Options, *, progress: bool = False, communicator: Communicator | None = None) -> Experiment:
    """Check all options, open the backend, load the data and lay them out on it.

    Parameters
    ----------
    options : Options
        What to do.
    progress : bool
        Whether to show that of a download.
    communicator : Communicator, optional
        The other processes that are to train it, each with an experiment of its own: those of a machine take its GPUs
        by turns.

    Raises
    ------
    InputError, BackendError
        For the first thing that cannot be done. Nothing is written before.
    """
    check_options(options)
    options = _with_absolute_paths(options)
    device = options.device
    if communicator is not None:
        device = device_for_rank(options.backend, device, communicator.local_rank)
    backend = get_backend(options.backend, device, options.dtype, graphs=options.graphs, precision=options.precision)

    # The data, and what they decide: how long to train, and how to scale.
    dataset, parts = load_splits(options, progress=progress)
    X, y = parts.train
    n, d = X.shape
    classes = dataset.classes if isinstance(dataset, StreamedData) else np.unique(y)
    steps = steps_per_epoch(n, options.batch_size)
    epochs = options.epochs or max(EPOCHS, math.ceil(MIN_STEPS / steps))
    schedule = build_schedule(options.chosen_schedule, options.highest_rate, steps * epochs)
    kind = dataset.scaling if options.scaling == "auto" else options.scaling
    preparation = None
    if isinstance(X, Table):
        preparation = TablePreparation.fit(X, "robust" if options.scaling == "auto" else options.scaling)
        d, kind = len(preparation.feature_names_out), "none"
    scaling = Scaling.fit_blocks(kind, X.examples() if isinstance(X, Part) else [X], d, dataset.pixel_max)

    # The network with its initial weights, and the parts of the data as it is given them.
    network = _network(options, d, classes.shape[0])
    with backend.within_memory(str(network), "fewer hidden units"):
        layers = initialize(network, init=options.init, seed=options.seed)
    names = dataset.feature_names if preparation is None else preparation.feature_names_in
    model = Model(network, layers, classes, scaling, names, dataset.class_names, preparation=preparation)
    what = f"{n:,} training examples of {d:,} features, and what is held out"
    with backend.within_memory(what, "fewer examples, data that are read from disk (docs/streams.md)"):
        sets = {name: lay_out(model, backend, *part) for name, part in vars(parts).items() if part is not None}
    recipe = replace(_recipe(options), epochs=epochs, schedule=schedule)
    return Experiment(replace(options, epochs=epochs), dataset, backend, model, recipe, sets, communicator)


def lay_out(
    model: Model, backend: Backend, X: np.ndarray | Table | Part, y: Any
) -> tuple[Array | QuantizedExamples | StreamedExamples, Array | None]:
    """Prepare raw features, (n, d), encode labels, (n,), and move both to a backend: what the network is given.

    Features of 8 bits stay as they are up to the minibatch, where scaling them only multiplies. A part of data on disk
    becomes a `Stream`, which does all that when it is read; labels are None then.
    """
    if isinstance(X, Part):
        model.check_count(X.shape[1])
        if model.classes is None:
            raise InputError("a regression takes data in memory alone, and these are read from disk by rows.")
        return Stream(backend, X, model.classes, model.scaling), None
    T = backend.asarray(model.encode_targets(y))
    if isinstance(X, np.ndarray) and X.dtype.kind in "iu" and X.dtype.itemsize == 1 and model.scaling.only_scales:
        model.check(X)
        return QuantizedExamples(backend.asarray(X, dtype=None), backend.asarray(model.scaling.factors)), T
    return backend.asarray(model.prepare(X, backend.dtype)), T


def fingerprint(dataset: Dataset | StreamedData) -> str:
    """Return a SHA-256 of the examples and labels, by which a run knows its data again; `StreamedData` have theirs."""
    if isinstance(dataset, StreamedData):
        return dataset.sha256
    digest = hashlib.sha256()
    features = [dataset.X] if isinstance(dataset.X, np.ndarray) else map(_hashable, dataset.X.columns)
    for array in (*features, dataset.y, *(dataset.test or ())):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        rows = max(1, PIECE * array.shape[0] // max(1, array.nbytes))
        for start in range(0, array.shape[0], rows):  # in pieces: what is hashed is copied
            digest.update(array[start : start + rows].tobytes())
    return digest.hexdigest()


def _hashable(column: Column) -> np.ndarray:
    """Return the values of a column as an array of numbers or dates; texts and gaps as the bytes of their JSON."""
    if column.values.dtype != object:
        return column.values
    return np.frombuffer(json.dumps(column.values.tolist()).encode(), np.uint8)


def features_of(model: Model, dataset: Dataset) -> np.ndarray | Table:
    """Return the features that a model was trained on, in its order: by name where both have names.

    Raises
    ------
    InputError
        For columns that are not there.
    """
    if model.feature_names is None or dataset.feature_names is None or isinstance(dataset.X, Table):
        return dataset.X
    return dataset.X[:, positions_of(model.feature_names, dataset.feature_names, dataset.name)]


def score_model(model: Model, backend: Backend, X: np.ndarray | Table | Part, y: Any) -> Score:
    """Score a trained model on raw features, (n, d), and labels, (n,), on any backend; or on a part of data on disk.

    Raises
    ------
    InputError
        For features and labels that do not fit the model.
    """
    with backend.computing(f"{model.network}, to score {X.shape[0]:,} examples", "fewer examples at a time"):
        examples = Examples(*lay_out(model, backend, X, y))
        layers = [Layer(backend.asarray(W), backend.asarray(b)) for W, b in model.layers]
        sums = score_rows(backend, make_scorer(backend, model.network), layers, examples)
    loss, correct = (backend.to_numpy(total).item() for total in sums)
    return to_score(loss, correct, X.shape[0])


def check_circles(backend: Backend, options: Options = CIRCLES) -> GradientCheck:
    """Check the gradients of a network on the circles, as the report does (3.2, 3.4).

    Parameters
    ----------
    backend : Backend
        Where to compute, in float64.
    options : Options
        The network, its penalty, the mode, and the seed of all draws; the gradients are taken over `batch_size`
        examples. The report's network by default. Dropout's masks are drawn once.

    Raises
    ------
    InputError
        For options out of bounds, and more examples than there are.
    """
    dataset = load_dataset("circles")
    n, d = dataset.X.shape
    size, seed = options.batch_size, options.seed
    check_number("batch size", size, at_least=1, below=n + 1, integer=True)
    rows = make_generator(seed, "order").permutation(n)[:size]
    classes = np.unique(dataset.y)
    network = _network(options, d, classes.shape[0])
    return check_gradients(
        backend,
        network,
        initialize(network, init=options.init, seed=seed),
        backend.asarray(np.asarray(dataset.X)[rows]),
        backend.asarray(encode(dataset.y[rows], classes)),
        masks=mask_function(backend, network, seed)(backend.asindex(0), backend.asindex(rows)),
        penalty=_penalty(options),
        mode=options.mode,
        seed=seed,
    )


def _recipe(options: Options) -> Recipe:
    """Return all of the recipe that does not depend on the data."""
    return Recipe(
        optimizer=build_optimizer(
            options.optimizer, momentum=options.momentum, nesterov=options.nesterov, weight_decay=options.weight_decay
        ),
        penalty=_penalty(options),
        mode=options.mode,
        batch_size=options.batch_size,
        epochs=EPOCHS if options.epochs is None else options.epochs,
        patience=options.patience,
        min_delta=options.min_delta or 0.0,
        seed=options.seed,
    )


def _penalty(options: Options) -> ElasticNet:
    return ElasticNet.build(len(options.hidden) + 1, _one_or_each(options.l1), _one_or_each(options.l2))


def _network(options: Options, n_inputs: int, n_outputs: int) -> Network:
    return Network.build(
        n_inputs,
        options.hidden,
        n_outputs,
        activation=_one_or_each(options.activation),
        loss="softmax",
        dropout=_one_or_each(options.dropout),
        input_dropout=options.input_dropout,
    )


def _with_absolute_paths(options: Options) -> Options:
    data_dir = options.data_dir and os.path.abspath(options.data_dir)  # noqa: PTH100 - pathlib raises for long names
    if not (os.path.isfile(options.dataset) or is_streamed(options.dataset)):  # noqa: PTH113 - as above
        return replace(options, data_dir=data_dir)
    return replace(options, data_dir=data_dir, dataset=os.path.abspath(options.dataset))  # noqa: PTH100 - as above


def _one_or_each(values: Sequence[Value]) -> Value | Sequence[Value]:
    return values[0] if len(values) == 1 else values
