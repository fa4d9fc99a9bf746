"""From options to what they decide by themselves: a network, its initial weights and how it is trained."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_choice, check_number
from xpmlp.data.datasets import is_table
from xpmlp.data.preprocessing import SCALINGS
from xpmlp.data.streams import is_large_table, is_streamed
from xpmlp.data.tables.encodings import SCALINGS as TABLE_SCALINGS
from xpmlp.data.targets import TASKS
from xpmlp.experiments.options import Options, flag_of, to_text
from xpmlp.nn.initializers import INITIALIZERS, initialize
from xpmlp.nn.losses import LOSSES, build_loss
from xpmlp.nn.network import Layer, Network
from xpmlp.nn.optimizers import build_optimizer
from xpmlp.nn.own_parts import own_part
from xpmlp.nn.regularization import ElasticNet
from xpmlp.nn.schedules import SCHEDULES, build_schedule
from xpmlp.training import Recipe
from xpmlp.training.ensemble import seeds_of
from xpmlp.training.recipe import EPOCHS, steps_per_epoch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from xpmlp.data.tables.preparation import TablePreparation
    from xpmlp.models.model import Model
    from xpmlp.nn.losses import Loss

Value = TypeVar("Value")

CLASS_WEIGHTS = ("none", "balanced")
VALIDATION = 0.1  # the share that is held out where a validation part is needed, or the data are no table
MAX_WEIGHT_DECAY, WEIGHT_DECAYED = 0.5, 2.25  # for a table: the second is rate times decay, summed over the steps
SETTLED_BY_PACK = (
    *(
        "members",
        "hidden",
        "activation",
        "dropout",
        "input_dropout",
        "frequencies",
        "frequency_scale",
        "init",
        "l1",
        "l2",
    ),
    *("learning_rate", "momentum", "nesterov", "weight_decay", "schedule", "mode", "min_delta"),
)


def find_loss(option: str) -> Loss:
    """Return the loss that an option names, or that comes with it."""
    own: Loss | None = own_part("loss", option)
    return own or build_loss(option)


def asked_task(options: Options) -> str:
    """Return the task that is asked for, by itself or by the loss; "auto" where neither is.

    Raises
    ------
    InputError
        For a loss that is not one of the task.
    """
    check_choice("task", options.task, TASKS)
    if options.loss == "auto":
        return options.task
    task = "regression" if find_loss(options.loss).correct is None else "classification"
    if options.task not in {"auto", task}:
        raise InputError(f"loss {options.loss} is one of a {task}, but the task is {options.task}.")
    return task


def settle(options: Options) -> Options:
    """Return options with the validation share and the optimiser that the kind of the data decides, where left open.

    docs/tables.md says what is different for tables.
    """
    of_table = is_table(options.dataset)
    if options.validation is None and options.pack and (options.group or options.split != "random"):
        options = replace(options, validation=VALIDATION)  # folds that are drawn would not keep to these
    if options.validation is None:
        options = replace(options, validation=0.0 if of_table and options.patience is None else VALIDATION)
    if options.optimizer is None:
        options = replace(options, optimizer="adamw" if of_table else "adam")
    return options


def with_network_of(model: Model, options: Options, given: Collection[str]) -> Options:
    """Return options with the network of a model, but for what is `given`."""
    activation = tuple(each.name for each in model.network.activations) or options.activation
    network: dict[str, Any] = {
        "hidden": model.network.sizes[1:-1],
        "activation": activation,
        "members": model.n_members,
        "frequencies": model.network.frequencies,
    }
    return replace(options, **{name: value for name, value in network.items() if name not in given})


def differences(asked: Options, kept: Options) -> list[tuple[str, str, str]]:
    """Return in what options differ from those that a run was begun with: the flag, and what either says.

    What was left open, and decided with the data or the backend, does not differ; data may be found elsewhere.
    """
    one, other = (with_absolute_paths(settle(options)) for options in (asked, kept))
    values = [(option, one.to_json()[option.name], other.to_json()[option.name]) for option in fields(Options)]
    settled_with_data = {"epochs": None, "weight_decay": None, "task": "auto"}
    if bool(asked.pack) != bool(kept.pack):  # then the rates of the other are not known
        settled_with_data |= {"learning_rate": one.to_json()["learning_rate"], "schedule": one.to_json()["schedule"]}
    elif asked.has_own_schedule != kept.has_own_schedule:
        settled_with_data |= {"learning_rate": one.to_json()["learning_rate"]}
    return [
        (flag_of(option) if option.metadata["rich_help_panel"] else "DATASET", to_text(given), to_text(before))
        for option, given, before in values
        if given != before and option.name != "data_dir" and settled_with_data.get(option.name, ...) != given
    ]


def table_weight_decay(options: Options, steps: int) -> float:
    """Return the weight decay for a table: the weights forget over the same share of the training, however long."""
    return min(MAX_WEIGHT_DECAY, WEIGHT_DECAYED / (options.highest_rate * steps))


def check_options(options: Options) -> None:
    """Check options by themselves, before a backend is opened and data are loaded.

    Raises
    ------
    InputError
        For the first one that cannot be used.
    """
    options = settle(options)
    if own_part("schedule", options.chosen_schedule) is None:
        check_choice("schedule", options.chosen_schedule, SCHEDULES)
    elif options.learning_rate is not None:
        raise InputError(
            f"learning_rate is {options.learning_rate:g}, but schedule {options.schedule} gives the rates themselves: "
            "leave one of them out."
        )
    check_choice("init", options.init, INITIALIZERS)
    check_choice("scaling", options.scaling, ["auto", *(TABLE_SCALINGS if is_table(options.dataset) else SCALINGS)])
    if asked_task(options) == "regression":
        check_unweighted(options)
    check_choice("class_weight", options.class_weight, CLASS_WEIGHTS)
    build_recipe(options)
    if options.patience is not None and not (options.validation or options.validation_file):
        raise InputError("patience waits for a better loss on the validation part: give --validation a share above 0.")
    if options.patience is None and options.min_delta is not None:
        raise InputError("min_delta is an option of patience: give --patience too, or leave it out.")
    check_number("learning rate", options.highest_rate, above=0)
    check_number("frequency scale", options.frequency_scale, above=0)
    check_number("members", options.members, at_least=1, integer=True)
    check_number("pack", options.pack, at_least=0, integer=True)
    if options.is_ensemble and (is_streamed(options.dataset) or is_large_table(options.dataset)):
        name = "pack" if options.pack else "members"
        raise InputError(f"{options.dataset} is read by rows, for one network, but {name} is {getattr(options, name)}.")
    if options.pack:
        _check_pack(options)
    build_network(options, 1, 2, LOSSES["softmax"])


def _check_pack(options: Options) -> None:
    """Raise an `InputError` for options that the networks of a pack have each for itself, or cannot have."""
    of_its_own = {option.name: option.default for option in fields(options) if option.name in SETTLED_BY_PACK}
    of_its_own["optimizer"] = settle(replace(options, optimizer=None)).optimizer
    given = [name for name, default in of_its_own.items() if getattr(options, name) != default]
    if given:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"a pack decides {names} for each of its networks: leave it out, or leave out --pack.")


def check_unweighted(options: Options) -> None:
    """Raise an `InputError` for weights of classes where there are no classes."""
    if options.class_weight != "none":
        raise InputError(f"class_weight is {options.class_weight}, but a regression has no classes: leave it out.")


def build_recipe(options: Options) -> Recipe:
    """Return all of the recipe that does not depend on the data."""
    return Recipe(
        optimizer=build_optimizer(
            str(options.optimizer),
            momentum=options.momentum,
            nesterov=options.nesterov,
            weight_decay=options.weight_decay,
        ),
        penalty=build_penalty(options),
        mode=options.mode,
        batch_size=options.batch_size,
        epochs=EPOCHS if options.epochs is None else options.epochs,
        patience=options.patience,
        min_delta=options.min_delta or 0.0,
        seed=options.seed,
        threads=options.threads,
    )


def fit_recipe(options: Options, n: int) -> Recipe:
    """Return the recipe for so many training examples, of options whose number of epochs is settled."""
    recipe = build_recipe(options)
    steps = steps_per_epoch(n, options.batch_size) * recipe.epochs
    own = own_part("schedule", options.chosen_schedule)
    if own is None:
        own = build_schedule(options.chosen_schedule, options.highest_rate, steps)
    return replace(recipe, schedule=own)


def build_penalty(options: Options) -> ElasticNet:
    """Return the penalty on the weights of each layer."""
    return ElasticNet.build(len(options.hidden) + 1, _one_or_each(options.l1), _one_or_each(options.l2))


def build_network(
    options: Options, n_inputs: int, n_outputs: int, loss: Loss, preparation: TablePreparation | None = None
) -> Network:
    """Return the network between so many inputs and outputs; of a table, numbers alone have cosines."""
    embedded = None if preparation is None else preparation.number_columns
    if options.frequencies and embedded == ():
        raise InputError(f"frequencies is {options.frequencies}, but no column of the table is a number or a date.")
    return Network.build(
        n_inputs,
        options.hidden,
        n_outputs,
        activation=_one_or_each(options.activation),
        loss=loss,
        dropout=_one_or_each(options.dropout),
        input_dropout=options.input_dropout,
        frequencies=options.frequencies,
        embedded=embedded,
    )


def initial_weights(network: Network, options: Options) -> list[Layer]:
    """Return the weights of a network, or those of all members of an ensemble, with a leading axis."""
    how: Any = {"init": options.init, "frequency_scale": options.frequency_scale}
    drawn = [initialize(network, seed=seed, **how) for seed in seeds_of(options.seed, options.members)]
    if len(drawn) == 1:
        return drawn[0]
    return [Layer(*map(np.stack, zip(*members, strict=True))) for members in zip(*drawn, strict=True)]


def with_absolute_paths(options: Options) -> Options:
    """Return options whose files are found from every folder."""
    given = {name: getattr(options, name) for name in ("data_dir", "validation_file", "test_file")}
    paths = {name: path and os.path.abspath(path) for name, path in given.items()}  # noqa: PTH100 - pathlib raises for long names
    if not (os.path.isfile(options.dataset) or is_streamed(options.dataset)):  # noqa: PTH113 - as above
        return replace(options, **paths)
    return replace(options, **paths, dataset=os.path.abspath(options.dataset))  # noqa: PTH100 - as above


def _one_or_each(values: Sequence[Value]) -> Value | Sequence[Value]:
    return values[0] if len(values) == 1 else values
