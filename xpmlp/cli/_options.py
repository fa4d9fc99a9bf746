"""Options that several commands take, under one name and with one help text, and what is made of them."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from xpmlp.cli._terminal import parse_floats, parse_integers, parse_names
from xpmlp.common.errors import InputError
from xpmlp.experiments.options import Options

__all__ = [
    "DATA",
    "L1",
    "L2",
    "NETWORK",
    "PLACE",
    "TRAINING",
    "Activation",
    "BackendName",
    "DataDir",
    "Device",
    "Dropout",
    "Hidden",
    "Init",
    "InputDropout",
    "Mode",
    "RunOrModel",
    "Seed",
    "Target",
    "check_alone",
    "check_used",
    "given",
    "parse_options",
    "with_options_of",
]

TRAINING, NETWORK, DATA, PLACE = "How to train", "Network", "Data", "Where to compute"

BackendName = Annotated[
    str,
    typer.Option(
        "--backend",
        help="Array library: numpy, cupy, torch, jax, array_api_strict; auto takes CuPy where a GPU is usable.",
        rich_help_panel=PLACE,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="A device of the backend: cpu, cuda:0, mps; see `xpmlp info`.", rich_help_panel=PLACE),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where Fashion-MNIST lies: a folder that holds fashion-mnist/.", rich_help_panel=DATA),
]
Target = Annotated[
    str | None,
    typer.Option(help="The label's column in a .csv file; the last one by default.", rich_help_panel=DATA),
]
Hidden = Annotated[str, typer.Option(help="Units of each hidden layer: 50, or 512,512.", rich_help_panel=NETWORK)]
Activation = Annotated[
    str,
    typer.Option(
        help="identity, relu, leaky_relu, elu, tanh, logistic, softplus, silu or gelu; one for all, or one per layer.",
        rich_help_panel=NETWORK,
    ),
]
Init = Annotated[
    str,
    typer.Option(
        help="Initial weights: he_uniform, he_normal, glorot_uniform, glorot_normal, or the report's: report.",
        rich_help_panel=NETWORK,
    ),
]
Dropout = Annotated[
    str,
    typer.Option(
        help="Share of the hidden units dropped in training; one for all layers, or one for each.",
        rich_help_panel=NETWORK,
    ),
]
InputDropout = Annotated[float, typer.Option(help="Share of the inputs dropped in training.", rich_help_panel=NETWORK)]
L1 = Annotated[str, typer.Option(help="Strength of |W|; one for all layers, or one for each.", rich_help_panel=NETWORK)]
L2 = Annotated[
    str, typer.Option(help="Strength of |W|^2; one for all layers, or one for each.", rich_help_panel=NETWORK)
]
Mode = Annotated[
    str,
    typer.Option(help="matrix: a minibatch at once; loop: row by row, the same gradients.", rich_help_panel=TRAINING),
]
Seed = Annotated[
    int, typer.Option(help="Of the split, the initial weights and the order of examples.", rich_help_panel=TRAINING)
]
RunOrModel = Annotated[
    Path, typer.Argument(help="The folder of a run, or a model.safetensors of one.", metavar="RUN", show_default=False)
]


def parse_options(
    *, data_dir: Path | None, no_graph: bool, hidden: str, activation: str, dropout: str, l1: str, l2: str, **plain: Any
) -> Options:
    """Make `Options` of what a command is given, where a value for each layer is a text."""
    return Options(
        data_dir=None if data_dir is None else str(data_dir),
        graph=not no_graph,
        hidden=parse_integers("--hidden", hidden),
        activation=parse_names(activation),
        dropout=parse_floats("--dropout", dropout),
        l1=parse_floats("--l1", l1),
        l2=parse_floats("--l2", l2),
        **plain,
    )


def with_options_of(command: Callable[..., None]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take, as keywords, what another one makes `Options` of: with its types, defaults and help texts."""
    names = {field.name for field in fields(Options)} | {"no_graph"}
    shared = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name in names]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = sorted([*own, *shared], key=lambda p: p.kind)  # those by position first, as Python wants it
        setattr(function, "__signature__", signature.replace(parameters=parameters))  # noqa: B010 - no type knows it
        return function

    return decorate


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
        "data_dir": "" if is_fashion else f"is where Fashion-MNIST lies, but the data are {options.dataset}",
        "test": "is a share of the data, but fashion-mnist brings its test set" if is_fashion else "",
        "activation": "" if options.hidden else "is of hidden units, and there are none",
    }
    for name, written in given(context).items():
        if reason := reasons.get(name):
            raise InputError(f"{written} {reason}: leave it out.")


def check_alone(context: typer.Context, free: Collection[str]) -> None:
    """Refuse options beside ``--resume`` that were decided when what it goes on with was begun."""
    others = [written for name, written in given(context).items() if name not in free]
    if others:
        raise InputError(
            f"--resume goes on with a run as it was begun, but {', '.join(others)} is given too: leave it out, or "
            "begin another run."
        )
