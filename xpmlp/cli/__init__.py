"""The command line: arguments in, calls out.

It imports every other wing; commands import what they call when they are run, so that ``xpmlp --help`` answers at once.
"""

from __future__ import annotations

import signal
import sys
import warnings
from typing import TYPE_CHECKING

import typer

from xpmlp import __version__
from xpmlp.cli._compare import compare
from xpmlp.cli._evaluate import evaluate
from xpmlp.cli._examples import examples_of
from xpmlp.cli._export import export
from xpmlp.cli._gradcheck import gradcheck
from xpmlp.cli._info import info
from xpmlp.cli._options import SuggestingCommand
from xpmlp.cli._predict import predict
from xpmlp.cli._runs import runs
from xpmlp.cli._search import search
from xpmlp.cli._show import show
from xpmlp.cli._streams import lasting_streams
from xpmlp.cli._terminal import INTERRUPTED, TO_END, explain, handling, say, warn
from xpmlp.cli._train import train
from xpmlp.common.errors import EXPECTED, XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["app", "main"]

IN_FILES = ("train", "search")  # commands that save what they show
EARLIER_FLAGS = {"no-graph": "no-graphs"}  # of options: command lines that have them still work

COMMANDS = {
    command.__name__: command
    for command in (train, evaluate, predict, show, runs, compare, search, export, gradcheck, info)
}


def _application(names: Iterable[str]) -> typer.Typer:
    """Return the program with some of its commands: typer works out the options of each before it runs one."""
    program = typer.Typer(
        name="xpmlp",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={
            "help_option_names": ["--help", "-h"],
            "token_normalize_func": lambda name: EARLIER_FLAGS.get(name, name),
        },
    )
    for name in names:
        program.command(cls=SuggestingCommand, epilog=examples_of(name))(COMMANDS[name])
    program.callback()(_common)
    return program


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"xpmlp {__version__}")
        raise typer.Exit


def _common(
    version: bool = typer.Option(  # noqa: FBT001 - typer's callback does the work, and reads the flag so
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """A multilayer perceptron with hand-derived gradients, on NumPy, CuPy, PyTorch or JAX."""  # noqa: D401 - help text


app = _application(COMMANDS)


def main() -> None:
    """Run the command line; errors that are expected end it with a message and an exit code, as `explain` has them."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", XpmlpWarning)
    warnings.filterwarnings("ignore", "JAX's 64-bit mode", XpmlpWarning)  # the process is the command's own
    named = COMMANDS.keys() & sys.argv[1:2]
    in_files = bool(named.intersection(IN_FILES))
    # What a scheduler sends ends those, too, as Ctrl-C does, while they load and while they save.
    with lasting_streams(show_results=not in_files), handling(signal.default_int_handler, *TO_END * in_files):
        try:
            (_application(named) if named else app)(prog_name="xpmlp")
        except EXPECTED as error:
            message, code = explain(error)
            say(f"Error: {message}")
            sys.exit(code)
        except KeyboardInterrupt:  # before there was a command to interrupt
            sys.exit(INTERRUPTED)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    warn(str(message) if issubclass(category, XpmlpWarning) else f"{category.__name__}: {message}")
