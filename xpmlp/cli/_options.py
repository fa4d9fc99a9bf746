"""What several commands take: the fields of `Options` as options of a command line, and a run or a model."""

import inspect
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import Field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from xpmlp.cli._terminal import announce
from xpmlp.common.errors import InputError
from xpmlp.experiments.options import TABLE, Options, flag_of, to_text, value_type

if TYPE_CHECKING:
    from xpmlp.backends import Backend
    from xpmlp.nn.activations import Activation
    from xpmlp.nn.losses import Loss
    from xpmlp.nn.own_parts import OwnPart

DEFAULTS = Options()
READING = tuple(option.name for option in fields(Options) if option.metadata["rich_help_panel"] == TABLE)
Command = TypeVar("Command", bound=Callable[..., None])

RunOrModel = Annotated[
    Path, typer.Argument(help="The folder of a run, or a model.safetensors of one.", metavar="RUN", show_default=False)
]
MEANT = {  # what other programs call an option, and its name here
    "lr": "learning-rate",
    "eta": "learning-rate",
    "rate": "learning-rate",
    "wd": "weight-decay",
    "decay": "weight-decay",
    "alpha": "l2",
    "bs": "batch-size",
    "minibatch": "batch-size",
    "layers": "hidden",
    "units": "hidden",
    "neurons": "hidden",
    "hidden-layer-sizes": "hidden",
    "nonlinearity": "activation",
    "solver": "optimizer",
    "scheduler": "schedule",
    "iterations": "epochs",
    "max-iter": "epochs",
    "n-epochs": "epochs",
    "early-stopping": "patience",
    "objective": "loss",
    "criterion": "loss",
    "random-state": "seed",
    "label": "target",
    "delimiter": "separator",
    "na-values": "missing",
    "ensemble": "members",
    "gpu": "device",
    "cuda": "device",
    "folder": "out",
    "output": "out",
    "force": "overwrite",
}
OwnActivations = Annotated[
    list[str] | None,
    typer.Option(
        "--activation", help="An activation of your own, module:name, that the model is of.", show_default=False
    ),
]
OwnLoss = Annotated[
    str | None,
    typer.Option(
        "--loss", help="A loss of your own, module:name, that the model was trained with.", show_default=False
    ),
]
OWN = ("activation", "loss", "schedule")  # options that may name a part of a user's own
EXAMPLES = {int: "whole numbers, such as 50 or 512,512", float: "numbers, such as 0.01 or 0.01,0.001"}


class SuggestingCommand(TyperCommand):
    """A command that answers an option that it has not with the one that is probably meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments; what stands for an unknown option is added to the error."""
        given = list(args)  # which parsing uses up
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if (unknown := getattr(error, "option_name", None)) and hasattr(error, "possibilities"):
                name = next((each for each in given if each.startswith(unknown)), unknown).partition("=")[0].strip("-")
                error.possibilities = self._meant(name.replace("_", "-").lower()) or error.possibilities
            raise

    def _meant(self, name: str) -> list[str]:
        """Return the options that a name stands for, or begins."""
        flags = [flag for parameter in self.params for flag in parameter.opts if flag.startswith("--")]
        if (meant := f"--{MEANT.get(name, name)}") in flags:
            return [meant]
        return [flag for flag in flags if flag.startswith(f"--{name}")]


def takes_options(*names: str, defaults: Options = DEFAULTS, own_first: bool = False) -> Callable[[Command], Command]:
    """Let a command take fields of `Options`, all of them or those named, which its keywords ``**options`` stand for.

    They come with their help texts, before the command's own options unless `own_first`.
    """
    shared = [
        _parameter(option, getattr(defaults, option.name))
        for option in fields(Options)
        if not names or option.name in names
    ]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        both = sorted([*own, *shared] if own_first else [*shared, *own], key=lambda p: p.kind)
        setattr(command, "__signature__", signature.replace(parameters=both))  # noqa: B010 - no type knows it
        return command

    return decorate


def _parameter(option: Field[Any], default: Any) -> inspect.Parameter:
    """Return an option as typer reads it: a flag says that it is not as by default, values of layers are one text."""
    kind, several = value_type(option)
    flag = flag_of(option)
    if option.type is bool:
        default = default is not option.default
    elif kind is bool:  # or None, where it is found out
        flag = f"{flag}/--no-{option.name}"
    make = partial(typer.Option, flag) if option.metadata["rich_help_panel"] else typer.Argument
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=to_text(default) if several else default,
        annotation=Annotated[str if several else option.type, make(**option.metadata)],
    )


def parse_options(values: dict[str, Any], defaults: Options = DEFAULTS) -> Options:
    """Return options with the values that a command was given.

    Raises
    ------
    InputError
        For the values of layers that are no numbers.
    """
    options = {option.name: option for option in fields(Options)}
    return replace(defaults, **{name: _parse(options[name], value) for name, value in values.items()})


def _parse(option: Field[Any], value: Any) -> Any:
    kind, several = value_type(option)
    if not several:
        value = value is not option.default if option.type is bool else value
        return _with_part(option.name, value) if option.name in OWN and value is not None else value
    if option.name == "activation":
        return tuple(_with_part(option.name, name.strip()) for name in value.split(",")) if value.strip() else ()
    try:
        return tuple(kind(part.strip()) for part in value.split(",")) if value.strip() else ()
    except ValueError as error:
        raise InputError(f"{flag_of(option)} is {value!r}, but must be {EXAMPLES[kind]}.") from error


def _with_part(kind: str, name: str) -> str:
    """Return the name of a part; where it is the place of one of a user's own, with what is there."""
    from xpmlp.nn.own_parts import is_place

    return import_part(kind, name) if is_place(kind, name) else name


def import_part(kind: str, place: str) -> "OwnPart":
    """Import the part of a user's own that a command line names."""
    from xpmlp.nn.own_parts import OwnPart

    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 - that list holds strings
        sys.path.insert(0, here)  # as `python -m xpmlp` has it
    return OwnPart.at(kind, place)


def import_parts(activation: Sequence[str] | None, loss: str | None) -> "list[Activation | Loss]":
    """Import the parts that a command line names as those of a model."""
    named = [("activation", place) for place in activation or ()] + ([] if loss is None else [("loss", loss)])
    return [import_part(*each).part for each in named]


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def own_parts(options: Options, *kinds: str) -> "dict[str, list[OwnPart]]":
    """Return the parts of a user's own that options have, of all kinds or of some, each once."""
    from xpmlp.nn.own_parts import OwnPart

    values = {kind: _each(getattr(options, kind)) for kind in kinds or OWN}
    return {kind: [own for own in dict.fromkeys(given) if isinstance(own, OwnPart)] for kind, given in values.items()}


def naming_again(options: Options, *kinds: str) -> str:
    """Return what a command line needs to name them again: " --loss parts:loss"; "" where there are none."""
    return "".join(f" --{kind} {place}" for kind, places in own_parts(options, *kinds).items() for place in places)


def name_again(kept: Options, asked: Options) -> Options:
    """Return the options of a run with the parts of a user's own that the command line names again."""
    again: dict[str, Any] = {}
    for kind, parts in own_parts(asked).items():
        before: Any = getattr(kept, kind)
        own = {str(part): part for part in parts}
        if other := set(own) - set(_each(before)):
            raise InputError(f"the run was begun with --{kind} {to_text(before)}, not {', '.join(other)}.")
        found = tuple(own.get(value, value) for value in _each(before))
        again[kind] = found if isinstance(before, tuple) else found[0]
    return replace(kept, **again)


def open_backend(backend: str, device: str | None, dtype: str) -> "Backend":
    """Open a backend, and say which one `auto` took."""
    from xpmlp.backends import get_backend

    opened = get_backend(backend, device, dtype)
    announce(opened)
    return opened


def given(context: typer.Context) -> dict[str, str]:
    """Return the options that stand on the command line: how they are written, by name."""
    sources = {p: context.get_parameter_source(str(p.name)) for p in context.command.params}
    return {
        str(p.name): p.opts[0] for p, source in sources.items() if source is not None and source.name == "COMMANDLINE"
    }


def check_used(context: typer.Context, options: Options) -> None:
    """Refuse what stands on the command line and would change nothing, though a user may believe that it does."""
    is_fashion = options.dataset == "fashion-mnist"
    reasons = {
        "data_dir": "" if is_fashion else f"is where Fashion-MNIST is, but the data are {options.dataset}",
        "test": "is a share of the data, but fashion-mnist brings its test set" if is_fashion else "",
        "test_file": "is a test part, but fashion-mnist brings its own" if is_fashion else "",
        "group": "is a column of a .csv file, but fashion-mnist has none" if is_fashion else "",
        "activation": "" if options.hidden else "is of hidden units, and there are none",
    }
    for part in ("test", "validation"):
        if getattr(options, f"{part}_file"):
            reasons[part] = f"is a share of the data, but --{part}-file brings the {part} part"
    for name, written in given(context).items():
        if reason := reasons.get(name):
            raise InputError(f"{written} {reason}: leave it out.")


def check_alone(context: typer.Context, free: Collection[str]) -> None:
    """Refuse options beside ``--resume`` that were decided when what it resumes was begun.

    Those that name a part of a user's own again are left to `name_again`.
    """
    from xpmlp.nn.own_parts import is_place

    again = {kind for kind in OWN if is_place(kind, context.params[kind] or "")}
    others = [written for name, written in given(context).items() if name not in {*free, *again}]
    if others:
        raise InputError(
            f"--resume goes on with a run as it was begun, but {', '.join(others)} is given too: leave it out, or "
            "begin another run."
        )


def check_resumed_backend(context: typer.Context, begun_on: str, folder: Path) -> None:
    """Refuse another backend beside ``--resume``, and one that is named in the folder alone and would be imported."""
    from xpmlp.backends import check_known

    asked = context.params["backend"] if "backend" in given(context) else None
    if asked is None:
        check_known(begun_on, f"the folder {folder}")
    elif asked != begun_on:
        raise InputError(f"{folder} was begun with --backend {begun_on}, but --backend {asked} is given: leave it out.")
