"""An experiment: from plain options to a network, its data on a backend, and a way to train it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xpmlp.backends import device_for_rank, get_backend
from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.shown import Shown
from xpmlp.common.validation import check_number
from xpmlp.common.wording import counted, quoted
from xpmlp.data.datasets import ColumnSchema, Dataset, is_table, load_dataset, refuse_reading, split
from xpmlp.data.examples import Examples, QuantizedExamples, StreamedExamples, dequantize, slice_rows
from xpmlp.data.features import positions_of
from xpmlp.data.preprocessing import SCALINGS, Scaling, encode
from xpmlp.data.streams import (
    Part,
    Stream,
    StreamedData,
    is_large_table,
    is_streamed,
    load_stream,
    load_table_stream,
)
from xpmlp.data.tables import Table
from xpmlp.data.tables.preparation import TablePreparation
from xpmlp.data.targets import fit_target_scaling
from xpmlp.experiments.options import CIRCLES, Options
from xpmlp.experiments.recipes import (
    asked_task,
    build_network,
    build_penalty,
    check_options,
    check_unweighted,
    find_loss,
    fit_recipe,
    initial_weights,
    settle,
    table_weight_decay,
    with_absolute_paths,
)
from xpmlp.models.model import Model
from xpmlp.nn.activations import identity
from xpmlp.nn.dropout import mask_function
from xpmlp.nn.gradcheck import check_gradients
from xpmlp.nn.initializers import initialize
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.mixtures import outputs_of
from xpmlp.nn.network import Layer, Network
from xpmlp.nn.padding import network_of
from xpmlp.training import Recipe, draw_settings, steps_per_epoch, train, train_pack
from xpmlp.training.recipe import MIN_STEPS, MIN_STEPS_OF_CLASSES, default_epochs
from xpmlp.training.scoring import make_scorer, read_scores, spread_of
from xpmlp.training.settings import MAX_EMBEDDED, divide_pack, numbers_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.shown import Content
    from xpmlp.common.types import Array
    from xpmlp.data.datasets import Splits
    from xpmlp.distributed import Communicator
    from xpmlp.nn.gradcheck import GradientCheck
    from xpmlp.training import Record, Setting
    from xpmlp.training.scoring import Score

Value = TypeVar("Value")

DEFAULT_LOSSES = {"classification": "softmax", "regression": "squared_error"}
PIECE = 2**20  # bytes of the data that are hashed at a time


@dataclass(frozen=True)
class Experiment(Shown):
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
    weights : array of shape (n, 1), optional
        What each training example counts, on the backend.
    """

    options: Options
    dataset: Dataset | StreamedData
    backend: Backend
    model: Model
    recipe: Recipe
    sets: dict[str, tuple[Array | QuantizedExamples | StreamedExamples, Array | None]]
    communicator: Communicator | None = None
    weights: Array | None = None

    def __str__(self) -> str:
        sizes, n_members = self.model.network.chain, self.model.n_members
        own = self.options.has_own_schedule
        rates = f"the rates of {self.options.schedule}" if own else f"{self.options.highest_rate:g}"
        how = f"{self.options.optimizer} at {rates}"
        if self.options.pack:
            n_settings, n_folds = self._divided_pack()
            sizes, how = f"a pack of {counted(n_settings * n_folds, 'network')}", "each with its own hyperparameters"
        elif n_members > 1:
            sizes = f"{n_members} networks {sizes}"
        batch_size = min(self.options.batch_size, self.sets["train"][0].shape[0])
        ranks = "" if self.communicator is None else f", {counted(self.communicator.size, 'rank')}"
        return (
            f"{self.dataset.name}: {sizes}, {how}, K = {batch_size}, "
            f"{self.backend.name} on {self.backend.device_name} in {self.backend.dtype}{ranks}"
        )

    def __repr__(self) -> str:
        return f"Experiment({self})"

    def _content(self) -> Content:
        rows = [(part, X.shape[0], X.shape[1]) for part, (X, _) in self.sets.items()]
        made = [("data", self.dataset), ("model", self.model), ("recipe", self.recipe), ("backend", self.backend)]
        said = [(name, repr(each)) for name, each in made]
        return ("", "what it is"), [*said, *((f"{part} part", f"{n:,} x {d:,}") for part, n, d in rows)]

    @cached_property
    def data_sha256(self) -> str:
        """The fingerprint of the data, by which a run knows them again."""
        return fingerprint(self.dataset)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The columns that the networks of a pack may have cosines of."""
        if self.model.preparation is not None:
            columns = self.model.preparation.number_columns
            return columns if len(columns) <= MAX_EMBEDDED else ()
        return numbers_in(self.backend, self.sets["train"][0])

    def _divided_pack(self) -> tuple[int, int]:
        return divide_pack(self.options.pack, self.sets["train"][0].shape[0], self.sets)

    @cached_property
    def settings(self) -> list[Setting]:
        """The hyperparameters that are drawn for the networks of a pack."""
        return draw_settings(self._divided_pack()[0], self.options.seed)

    def network_of(self, layers: Sequence[Layer]) -> Network:
        """Return the architecture that a record's weights are of: the model's, or in a pack what was selected."""
        return network_of(self.model.network.loss, layers, self.numbers) if self.options.pack else self.model.network

    def records(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        on_step: Callable[[int], None] = lambda _: None,
        resume: Record | None = None,
    ) -> Iterator[Record]:
        """Train, scoring every part after each epoch; parameters as for `train`."""
        X, T = self.sets["train"]
        if self.options.pack:
            return train_pack(
                self.backend,
                self.model.network.loss,
                X,
                T,
                self.settings,
                epochs=self.recipe.epochs,
                batch_size=self.recipe.batch_size,
                seed=self.options.seed,
                patience=self.recipe.patience,
                embedded=self.numbers,
                evaluate=self.sets,
                units=self.model.units,
                weights=self.weights,
                should_stop=should_stop,
                on_step=on_step,
                resume=resume,
                communicator=self.communicator,
            )
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
            units=self.model.units,
            weights=self.weights,
        )

    def never_predicted(self, layers: Sequence[Layer]) -> list[str]:
        """Name the classes that weights of the backend predict for no training example; none for data on disk."""
        model, X, backend = self.model, self.sets["train"][0], self.backend
        if model.classes is None or isinstance(X, StreamedExamples):
            return []
        predicted, (n, _), network = set(), X.shape, self.network_of(layers)
        for start in range(0, n, backend.rows_at_a_time):
            rows = slice_rows(Examples(X, self.sets["train"][1]), start, min(start + backend.rows_at_a_time, n)).X
            p = outputs_of(backend.xp, network, layers, dequantize(backend.xp, rows))
            predicted |= set(backend.to_numpy(backend.xp.argmax(p, axis=-1)).tolist())
        names = model.class_names or tuple(map(str, model.classes.tolist()))
        return [name for position, name in enumerate(names) if position not in predicted]

    def trained(self, layers: Sequence[Layer]) -> Model:
        """Return the model with weights of the backend in place of the initial ones."""
        to_numpy = self.backend.to_numpy
        weights = [Layer(to_numpy(W), to_numpy(b)) for W, b in layers]
        return replace(self.model, network=self.network_of(layers), layers=weights)


def load_splits(
    options: Options, *, progress: bool = False, schema: ColumnSchema | None = None
) -> tuple[Dataset | StreamedData, Splits[Any]]:
    """Load the data of some options and part them: the same options always give the same parts.

    A `schema` says which columns of a table are taken, as `load_dataset` has it.
    Those that are read from disk by rows are not loaded, and are parted by blocks, as `load_stream` does. So are large
    tables, unless there are files, groups or weights for which all rows have to be in memory.
    """
    options = settle(options)
    source, target = options.dataset, options.target
    shares: Any = {"validation": options.validation, "test": options.test, "seed": options.seed}
    shares["order"] = options.split
    task = asked_task(options)
    if is_streamed(source):
        refuse_reading(source, options.reading)
        for name in ("validation_file", "test_file", "group"):
            if value := getattr(options, name):
                raise InputError(f"{name} is {value!r}, but needs data in memory, and {source} is read from disk.")
        return load_stream(source, target=target, task=task, **shares)
    in_memory = options.validation_file or options.test_file or options.group or options.class_weight != "none"
    if is_large_table(source) and not in_memory:
        scaling: Any = {} if options.scaling == "auto" else {"scaling": options.scaling}
        return load_table_stream(
            source, target=target, reading=options.reading, task=task, dtype=options.dtype, **scaling, **shares
        )
    loading: Any = {"data_dir": options.data_dir, "target": target, "task": task, "group": options.group}
    loading |= {"reading": options.reading, "schema": schema if is_table(source) else None}
    dataset = load_dataset(source, **loading, progress=progress)
    if options.validation_file is not None:
        dataset = replace(dataset, validation=_held_out(options.validation_file, options, dataset))
    if options.test_file is not None:
        dataset = replace(dataset, test=_held_out(options.test_file, options, dataset))
    parts = split(dataset, **shares)
    return replace(dataset, note=" ".join(filter(None, [dataset.note, *parts.notes])) or None), parts


def _held_out(file: str, options: Options, dataset: Dataset) -> tuple[np.ndarray | Table, np.ndarray]:
    """Load a file with a part of its own: its features in the order of the training data, and its targets."""
    names = dataset.feature_names
    kinds = dataset.X.known if isinstance(dataset.X, Table) else None
    schema = ColumnSchema(names or (), dataset.target_name, n_features=dataset.X.shape[1], kinds=kinds)
    found = load_dataset(
        file,
        target=options.target if is_table(file) else None,
        schema=schema,
        reading=options.reading if is_table(file) else None,
        task=dataset.task.name,
        min_classes=1,
    )
    X = found.X
    if isinstance(X, Table):
        return X, found.y
    if names and found.feature_names and names != found.feature_names:
        X = X[:, positions_of(names, found.feature_names, file)]
    if X.shape[1] != dataset.X.shape[1]:
        raise InputError(f"{file} has {X.shape[1]} features, but {dataset.name} has {dataset.X.shape[1]}.")
    return X, found.y


def prepare(
    options: Options,
    *,
    progress: bool = False,
    communicator: Communicator | None = None,
    start: Model | None = None,
) -> Experiment:
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
    start : Model, optional
        Whose weights are the initial ones, and whose preparation of features and targets is kept; the network of the
        options, the classes and the columns must be those of it.

    Raises
    ------
    InputError, BackendError
        For the first thing that cannot be done. Nothing is written before.
    """
    options = with_absolute_paths(settle(options))
    if start is not None and options.task == "auto":
        options = replace(options, task=start.task)
    if start is not None and options.pack:
        raise InputError("a pack draws the weights of all its networks: leave out --from, or --pack.")
    check_options(options)
    device = options.device
    if communicator is not None:
        device = device_for_rank(options.backend, device, communicator.local_rank)
    backend = get_backend(options.backend, device, options.dtype, graphs=options.graphs, precision=options.precision)

    # The data, and what they decide: what is learnt, how long to train, and how to scale.
    dataset, parts = load_splits(options, progress=progress, schema=None if start is None else schema_of(start))
    X, y = parts.train
    n = X.shape[0]
    options = _with_epochs(options, n, dataset.task.name)

    # The network with its initial weights, and the parts of the data as it is given them.
    given = options, dataset, parts
    model = _new_model(*given, backend) if start is None else _started(*given, start)
    what = f"{n:,} training examples of {model.network.sizes[0]:,} features, and what is held out"
    with backend.within_memory(what, "fewer examples, data that are read from disk (docs/streams.md)"):
        sets = {
            name: lay_out(model, backend, *part, is_training=name == "train" and start is None)
            for name, part in parts.parts.items()
        }
    recipe = fit_recipe(options, n)
    weights = None if options.class_weight == "none" else _balanced_weights(options, backend, y)
    return Experiment(options, dataset, backend, model, recipe, sets, communicator, weights)


def _with_epochs(options: Options, n: int, task: str) -> Options:
    """Return options with what `n` training examples and what is learnt decide."""
    has_few = is_table(options.dataset) and task == "classification"
    epochs = options.epochs or default_epochs(n, options.batch_size, MIN_STEPS_OF_CLASSES if has_few else MIN_STEPS)
    if is_table(options.dataset) and options.optimizer == "adamw" and options.weight_decay is None and not options.pack:
        steps = steps_per_epoch(n, options.batch_size) * epochs
        options = replace(options, weight_decay=table_weight_decay(options, steps))
    return replace(options, epochs=epochs, task=task)


def varied(experiment: Experiment, options: Options) -> Experiment:
    """Return what `prepare` makes of options that leave the data of an experiment as they are: they stay laid out.

    The seed is among what decides about the data.
    """
    options = settle(options)
    check_options(options)
    n, model, backend = experiment.sets["train"][0].shape[0], experiment.model, experiment.backend
    options = _with_epochs(with_absolute_paths(options), n, experiment.options.task)
    sizes, loss = model.network.sizes, model.network.loss
    network = build_network(options, sizes[0], model.network.n_targets, loss, model.preparation)
    with backend.within_memory(str(network), "fewer hidden units"):
        layers = initial_weights(network, options)
    model = replace(model, network=network, layers=layers)
    return replace(experiment, options=options, model=model, recipe=fit_recipe(options, n))


def _new_model(options: Options, dataset: Dataset | StreamedData, parts: Splits[Any], backend: Backend) -> Model:
    """Return a network with initial weights, and what the training part decides of how its data are prepared."""
    X, y = parts.train
    loss = find_loss(DEFAULT_LOSSES[dataset.task.name] if options.loss == "auto" else options.loss)
    d, classes, target_scaling = X.shape[1], None, None
    if dataset.task.name == "regression":
        target_scaling = fit_target_scaling(X.targets() if isinstance(X, Part) else [y], loss.name)
        if loss.name not in LOSSES and loss.output is not identity:
            target_scaling = None  # its outputs may be unable to have such values
    else:
        classes = dataset.classes if isinstance(dataset, StreamedData) else np.unique(y)
    kind = dataset.scaling if options.scaling == "auto" else options.scaling
    preparation, medians = None, None
    if isinstance(X, Table):
        preparation = TablePreparation.fit(X, kind, y)
        d = len(preparation.feature_names_out)
    elif isinstance(dataset, StreamedData):
        preparation = dataset.preparation
    elif dataset.columns:
        medians = np.median(X, axis=0)
    if preparation is None and kind not in SCALINGS:
        raise InputError(
            f"scaling {kind} is for tables with texts or gaps, but all features of {dataset.name} are numbers: choose "
            f"among {', '.join(SCALINGS)}."
        )
    kind = kind if preparation is None else "none"
    scaling = Scaling.fit_blocks(kind, X.examples() if isinstance(X, Part) else [X], d, dataset.pixel_max)
    network = build_network(options, d, 1 if classes is None else classes.shape[0], loss, preparation)
    with backend.within_memory(str(network), "fewer hidden units"):
        layers = initial_weights(network, options)
    return Model(
        network,
        layers,
        classes,
        scaling,
        dataset.feature_names if preparation is None else preparation.feature_names_in,
        dataset.class_names,
        target_scaling=target_scaling,
        preparation=preparation,
        medians=medians,
        target_names=None if dataset.target_name is None else (dataset.target_name,),
    )


def schema_of(model: Model) -> ColumnSchema:
    """Return by which columns a model knows the features and the target of a table."""
    kinds = None if model.preparation is None else model.preparation.known
    target = model.target_names[0] if model.target_names else None
    return ColumnSchema(model.feature_names or (), target, model.network.sizes[0], model.classes, kinds)


def _started(options: Options, dataset: Dataset | StreamedData, parts: Splits[Any], start: Model) -> Model:
    """Return the model that a training starts from, with the dropout of the options, where all else agrees."""
    X, y = parts.train
    if isinstance(dataset, StreamedData):
        raise InputError(f"{dataset.name} is read by rows, but a training that starts from a model needs it in memory.")
    if start.task != dataset.task.name:
        raise InputError(f"the model to start from is one of {start.task}, but {dataset.name} of {dataset.task.name}.")
    if isinstance(X, Table) != (start.preparation is not None):
        raise InputError(f"the model to start from takes {'an array' if isinstance(X, Table) else 'a table'}.")
    d = start.network.sizes[0] if isinstance(X, Table) else X.shape[1]
    loss = start.network.loss if options.loss == "auto" else find_loss(options.loss)
    network = build_network(options, d, start.network.n_targets, loss)
    network = replace(network, embedded=start.network.embedded)  # which columns these are is no option
    if replace(start.network, dropout=network.dropout) != network or start.n_members != options.members:
        asked = "-".join(map(str, network.sizes))
        raise InputError(
            f"the model to start from is {start}, but the data and the options need {options.members} x {asked} with "
            f"{', '.join(options.activation)} and loss {loss.name}: leave the options of the network out, or start "
            "without it."
        )
    names = dataset.feature_names
    if not isinstance(X, Table) and None not in (names, start.feature_names) and names != start.feature_names:
        raise InputError(f"the columns of {dataset.name} are not those that the model to start from was trained on.")
    if start.classes is not None and (unknown := sorted(set(np.unique(y).tolist()) - set(start.classes.tolist()))):
        raise InputError(
            f"{dataset.name} has classes that the model to start from does not know: {quoted(unknown)}. It knows "
            f"{quoted(start.classes.tolist())}."
        )
    return replace(start, network=network)


def _balanced_weights(options: Options, backend: Backend, y: np.ndarray | None) -> Array:
    """Return what each training example counts, (n, 1), so that all classes together count the same."""
    from sklearn.utils import compute_sample_weight  # noqa: PLC0415 - slow to import, and needed here alone

    if y is None:
        raise InputError(f"class_weight {options.class_weight} needs data in memory, but {options.dataset} is on disk.")
    if options.task == "regression":
        check_unweighted(options)
    return backend.asarray(compute_sample_weight("balanced", y)[:, None])


def lay_out(
    model: Model, backend: Backend, X: np.ndarray | Table | Part, y: Any, *, is_training: bool = False
) -> tuple[Array | QuantizedExamples | StreamedExamples, Array | None]:
    """Prepare raw features, (n, d), encode targets, (n,), and move both to a backend: what the network is given.

    Features of 8 bits stay as they are up to the minibatch, where scaling them only multiplies. A part of data on disk
    becomes a `Stream`, which does all that when it is read; targets are None then. A table that the model `is_training`
    on is prepared with its targets, as `TablePreparation.apply` says.
    """
    if isinstance(X, Part):
        model.check_count(X.shape[1])
        return Stream(backend, X, model.classes, model.scaling, target_scaling=model.target_scaling), None
    T = backend.asarray(model.encode_targets(y))
    if isinstance(X, np.ndarray) and X.dtype.kind in "iu" and X.dtype.itemsize == 1 and model.scaling.only_scales:
        model.check(X)
        return QuantizedExamples(backend.asarray(X, dtype=None), backend.asarray(model.scaling.factors)), T
    if is_training and isinstance(X, Table) and model.preparation is not None:
        return backend.asarray(model.preparation.apply(X, backend.dtype, y)), T
    return backend.asarray(model.prepare(X, backend.dtype)), T


def fingerprint(dataset: Dataset | StreamedData) -> str:
    """Return a SHA-256 of the examples and labels, by which a run knows its data again; `StreamedData` have theirs."""
    if isinstance(dataset, StreamedData):
        return dataset.sha256
    digest = hashlib.sha256()
    pairs = [(dataset.X, dataset.y), *(pair for pair in (dataset.test, dataset.validation) if pair is not None)]
    for array in (array for X, y in pairs for array in (*_hashable(X), y)):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        rows = max(1, PIECE * array.shape[0] // max(1, array.nbytes))
        for start in range(0, array.shape[0], rows):  # in pieces: what is hashed is copied
            digest.update(array[start : start + rows].tobytes())
    return digest.hexdigest()


def _hashable(X: np.ndarray | Table) -> list[np.ndarray]:
    """Return arrays of numbers or dates; columns of texts as the bytes of their JSON, which tells gaps apart."""
    if not isinstance(X, Table):
        return [X]
    return [
        np.frombuffer(json.dumps(values.tolist()).encode(), np.uint8) if values.dtype == object else values
        for values in (column.values for column in X.columns)
    ]


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
    """Score a trained model on raw features, (n, d), and targets, (n,), on any backend; or on a part of data on disk.

    Raises
    ------
    InputError
        For features and targets that do not fit the model.
    """
    network, units = model.network, model.units
    with backend.computing(f"{network}, to score {X.shape[0]:,} examples", "fewer examples at a time"):
        examples = Examples(*lay_out(model, backend, X, y))
        layers = [Layer(backend.asarray(W), backend.asarray(b)) for W, b in model.layers]
        score = make_scorer(backend, network, units, of_mixture=model.n_members > 1)
        spread = spread_of(backend, network, examples, units)
    return read_scores(backend, network, score, layers, examples, spread)[0]


def check_circles(backend: Backend, options: Options = CIRCLES) -> GradientCheck:
    """Check the gradients of a network on the circles, as the report does (3.2, 3.4).

    Parameters
    ----------
    backend : Backend
        Where to compute, in float64.
    options : Options
        The network, its loss and penalty, the mode, and the seed of all draws; the gradients are taken over
        `batch_size` examples. The report's network by default. Dropout's masks are drawn once, and a loss of amounts
        is given the classes as zeros and ones.

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
    loss = find_loss("softmax" if options.loss == "auto" else options.loss)
    network = build_network(options, d, classes.shape[0], loss)
    return check_gradients(
        backend,
        network,
        initialize(network, init=options.init, seed=seed, frequency_scale=options.frequency_scale),
        backend.asarray(np.asarray(dataset.X)[rows]),
        backend.asarray(encode(dataset.y[rows], classes)),
        masks=mask_function(backend, network, seed)(backend.asindex(0), backend.asindex(rows)),
        penalty=build_penalty(options),
        mode=options.mode,
        seed=seed,
    )
