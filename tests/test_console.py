"""The command line on consoles of all kinds: what it answers, what it prints where, and what is lost with a stream."""

from __future__ import annotations

import pytest
import typer

from xpmlp.cli import app
from xpmlp.cli._options import MEANT

COMMANDS = typer.main.get_command(app).commands
FLAGS = {flag for parameter in COMMANDS["train"].params for flag in parameter.opts}


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=" ".join)
def test_h_is_help_of_every_command(cli, command):
    code, out, err = cli(*command, "-h")
    assert (code, err) == (0, "")
    assert out == cli(*command, "--help")[1]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--lr", "--learning-rate"),
        ("-lr", "--learning-rate"),
        ("--lr=0.1", "--learning-rate"),
        ("--learning_rate", "--learning-rate"),
        ("--lerning-rate", "--learning-rate"),
        ("--batch", "--batch-size"),
        ("--layers", "--hidden"),
        ("--wd", "--weight-decay"),
        ("--optim", "--optimizer"),
        ("--Epoch", "--epochs"),
        ("--checkpoint", "--checkpoint-every, --checkpoint-seconds"),
    ],
)
def test_an_option_that_is_nearly_one_is_answered_with_that_one(cli, written, meant):
    code, out, err = cli("train", written, "0.1")
    assert (code, out) == (2, "")
    assert f"(Possible options: {meant})" in " ".join(err.replace("│", " ").split())


def test_an_option_is_not_answered_with_one_that_the_command_has_not(cli):
    assert "--learning-rate" not in cli("show", "run", "--lr", "1")[2]


def test_what_stands_for_an_option_is_no_option_and_names_one():
    assert {f"--{name}" for name in MEANT.values()} <= FLAGS
    assert not {f"--{name}" for name in MEANT} & FLAGS
