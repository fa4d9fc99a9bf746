"""The command line on consoles of all kinds: what it answers, what it prints where, and what is lost with a stream."""

from __future__ import annotations

import gzip
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer

from xpmlp.backends import Status
from xpmlp.cli import app
from xpmlp.cli._examples import EXAMPLES
from xpmlp.cli._options import MEANT
from xpmlp.cli._progress import TrainingProgress
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.training import Record
from xpmlp.training.scoring import Score

QUICK = ("--hidden", "4", "--epochs", "2")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table in scripts that few encodings have, `table.csv`, and a run on it, `run`."""
    folder = tmp_path_factory.mktemp("streams")
    rows = (f"{i / 40},{(i % 7) / 7},{'роза' if i % 2 else '東京'}" for i in range(40))
    (folder / "table.csv").write_text("\n".join(["длина,ширина,вид", *rows]) + "\n", encoding="utf-8")
    assert xpmlp(folder, "train", "table.csv", *QUICK, "--out", "run").returncode == 0
    return folder


def xpmlp(where, *arguments, redirected="", **environment):
    """Run a command of its own process, whose streams a shell redirects."""
    words = ["import sys; from xpmlp.cli import main; main()", *map(str, arguments)]
    command = f"{shlex.join([sys.executable, '-c', *words])} {redirected}"
    return subprocess.run(  # noqa: S602 - our own command
        command, shell=True, cwd=where, capture_output=True, check=False, env=os.environ | environment
    )


PREDICT = ("predict", "run", "table.csv")


@pytest.mark.parametrize(
    ("command", "closed"),
    [(("train", "table.csv", *QUICK), ">&- 2>&- <&-"), (("evaluate", "run"), ">&-"), (PREDICT, ">&-")],
)
def test_a_command_whose_streams_are_closed_ends_as_it_would(folder, command, closed):
    done = xpmlp(folder, *command, redirected=closed)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@full
@pytest.mark.parametrize(
    ("command", "redirected"),
    [
        (("train", *QUICK), "> /dev/full"),
        (("train", *QUICK), "> /dev/full 2> /dev/full"),
        (("search", "--random", "2", "--jobs", "2", "--epochs", "1"), "> /dev/full 2> /dev/full"),
    ],
)
def test_a_training_is_saved_though_nothing_can_be_printed(folder, tmp_path, command, redirected):
    done = xpmlp(folder, *command, "table.csv", "--out", tmp_path / "new", redirected=redirected)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("model.safetensors"))
    if "2>" not in redirected:
        assert b"standard output cannot be written to: No space left on device. All is saved." in done.stderr


@full
@pytest.mark.parametrize("command", [PREDICT, ("info",)])
def test_results_that_a_full_disk_has_lost_are_an_error_of_ours(folder, command):
    done = xpmlp(folder, *command, redirected="> /dev/full")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"Error: standard output cannot be written to: No space left on device.\n"


def test_a_training_whose_reader_has_left_is_saved_and_ends_well(folder, tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "xpmlp", "train", folder / "table.csv", *QUICK, "--out", tmp_path / "new"]
    assert subprocess.run(command, stdout=write, stderr=write, check=False).returncode == 0  # noqa: S603 - our own
    os.close(write)
    assert (tmp_path / "new" / "model.safetensors").exists()


@pytest.mark.parametrize("command", [("train", "table.csv", *QUICK), ("evaluate", "run"), ("show", "run")])
def test_what_an_encoding_lacks_is_escaped(folder, command):
    done = xpmlp(folder, *command, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert rb"\u0434\u043b\u0438\u043d\u0430" in done.stdout


def test_predictions_are_escaped_with_a_warning_where_the_encoding_lacks_their_letters(folder):
    done = xpmlp(folder, *PREDICT, PYTHONIOENCODING="iso8859-1")
    assert set(done.stdout.split()) <= {b"prediction", rb"\u0440\u043e\u0437\u0430", rb"\u6771\u4eac"}
    assert re.fullmatch(
        rb"Warning: standard output is in iso8859-1, which lacks '\\u....': it is escaped there; --out writes UTF-8.\n",
        done.stderr,
    )
    done = xpmlp(folder, *PREDICT, PYTHONIOENCODING="utf-8")
    assert set(done.stdout.decode().split()) <= {"prediction", "роза", "東京"}
    assert done.stderr == b""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are not Unicode")
def test_a_name_that_is_not_utf_8_is_taken_for_data_runs_and_files(folder, tmp_path):
    name = os.fsdecode(b"caf\xe9")
    shutil.copy(folder / "table.csv", tmp_path / f"{name}.csv")
    done = xpmlp(tmp_path, "train", f"{name}.csv", *QUICK)
    assert done.returncode == 0, done.stderr
    assert rb"caf\udce9: 2-4-2" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith(name)
    assert r"caf\udce9: 2-4-2" in (run / "train.log").read_text(encoding="utf-8")
    done = xpmlp(tmp_path, "evaluate", run, "--out", f"{name}.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{name}.png").exists()
    done = xpmlp(tmp_path, "predict", run, f"{name}.csv", "--out", f"new-{name}.csv")
    assert done.stderr == b"40 predictions written to new-caf\\udce9.csv\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are not Unicode")
def test_data_of_every_kind_may_have_a_name_that_is_not_utf_8(folder, tmp_path):
    name = tmp_path / os.fsdecode(b"caf\xe9")
    name.mkdir()
    X, y = np.eye(20), np.arange(20) % 2
    np.save(name / "X.npy", X)
    np.save(name / "y.npy", y)
    np.savez(name.with_suffix(".npz"), X=X, y=y)
    name.with_suffix(".csv.gz").write_bytes(gzip.compress((folder / "table.csv").read_bytes()))
    for path in (name, name.with_suffix(".npz"), name.with_suffix(".csv.gz")):
        assert prepare(Options(str(path))).dataset.name == r"caf\udce9"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def record(epoch):
    scores = {"train": Score(0.4321, 0.9876), "validation": Score(0.5432, 0.8765), "test": Score(0.6543, 0.7654)}
    return Record(epoch, 1.0, 54_000, 54_000.0, 0.1, 0.5, scores, [], None, complete=True)


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (130, "epoch 299/300 BAR24 validation 0.8765 train 0.9876 loss 0.4321 54,000 examples/s TIME"),
        (80, "epoch 299/300 BAR12 validation 0.8765 train 0.9876 loss 0.4321 TIME"),
        (60, "epoch 299/300 BAR4 validation 0.8765 train 0.9876 TIME"),
        (50, "epoch 299/300 BAR7 validation 0.8765 TIME"),
        (30, "epoch 299/300 BAR5  TIME"),
    ],
)
def test_nothing_of_the_progress_bar_is_cut(monkeypatch, columns, shown):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with TrainingProgress(300, 54_000, quiet=False) as progress:
        for epoch in (298, 299):
            progress.show(record(epoch), "a line")
    line = re.sub(r"\x1b\[[0-9;?]*\w", "", sys.stderr.getvalue()).splitlines()[-1].split("\r")[-1]
    assert len(line) <= columns
    line = re.sub("[━╸╺]+", lambda bar: f"BAR{len(bar[0])}", line.strip())
    assert re.sub(r"(\d|-):(\d\d|--):(\d\d|--)$", "TIME", line) == shown


@pytest.mark.parametrize("terminal", [io.StringIO, Terminal])
def test_without_a_terminal_lines_are_printed_at_a_bounded_rate(monkeypatch, terminal):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", terminal())
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    printed = {}
    for seconds in (0.01, 60.0):  # of an epoch
        with TrainingProgress(300, 54_000, quiet=False) as progress:
            for epoch in range(1, 301):
                now += seconds
                progress.show(record(epoch), f"{seconds} {epoch}")
        printed[seconds] = [line for line in sys.stderr.getvalue().splitlines() if line.startswith(str(seconds))]
    assert len(printed[0.01]) == 31
    assert len(printed[60.0]) == 300


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights over folders are those of POSIX")
def test_a_run_that_is_read_only_is_scored_without_figures_and_out_is_told_of(cli, as_nobody, tmp_path):
    assert cli("train", "circles", *QUICK, "--out", "run", "--quiet")[0] == 0
    written = cli("evaluate", "run")[1]
    (tmp_path / "run").chmod(0o555)
    tmp_path.chmod(0o777)  # the folder that commands are run in
    for file in ("confusion.png", "probabilities.png", "regions.png"):
        (tmp_path / "run" / file).unlink()
    with as_nobody():
        code, out, err = cli("evaluate", "run")
        assert code == 0
        assert out == "".join(line for line in written.splitlines(keepends=True) if "run/" not in line)
        assert err == (
            "Warning: run/confusion.png cannot be written: Permission denied. The scores are printed alone: --out says "
            "where figures go, as in --out confusion.png.\n"
        )
        code, out, err = cli("evaluate", "run", "--out", "c.png")
        assert (code, err, "confusion matrix: c.png" in out) == (0, "", True)


@pytest.mark.parametrize("columns", [60, 80])
def test_info_has_what_to_install_on_lines_that_can_be_copied(cli, monkeypatch, columns):
    problem = (
        "CuPy is not installed. Install it with: pip install 'xpmlp[cuda13]' (CUDA 13) or pip install 'xpmlp[cuda12]' "
        "(CUDA 12)"
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("xpmlp.backends.statuses", lambda: [Status("numpy", "2"), Status("cupy", problem=problem)])
    lines = cli("info")[1].splitlines()
    assert lines[-3:] == [
        "cupy: CuPy is not installed. Install it with:",
        "    pip install 'xpmlp[cuda13]'  # CUDA 13",
        "    pip install 'xpmlp[cuda12]'  # CUDA 12",
    ]
    assert max(map(len, lines[1:])) <= columns


def test_a_device_that_another_backend_would_have_is_answered_with_that_backend(cli):
    code, _, err = cli("train", "circles", "--device", "cuda:0")
    assert code == 2
    assert "Backends that can have such a device: cupy, torch, jax (--backend)." in err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_two_examples_that_are_taken(cli, command):
    *_, one, other = filter(None, map(str.strip, cli(command, "-h")[1].splitlines()))
    assert (one, other) == EXAMPLES[command]
    for example in (one, other):
        _, name, *arguments = shlex.split(example)
        assert COMMANDS[name].make_context(name, arguments)  # an error, where an argument is not one
    assert one.split()[1] == command


def test_a_training_ends_with_the_commands_that_go_on_from_it(cli, tmp_path):
    rows = "\n".join(f"{i / 40},{(i % 7) / 7},{'odd' if i % 2 else 'even'}" for i in range(40))
    for name in ("table.csv", "new.csv"):
        (tmp_path / name).write_text(f"a,b,kind\n{rows}\n")
    _, out, _ = cli("train", "table.csv", *QUICK, "--out", "a run")
    commands = [line.removeprefix("next: ") for line in out.splitlines() if line.startswith("next: ")]
    assert [command.split()[1] for command in commands] == ["evaluate", "predict", "export"]
    for command in commands:
        pytest.importorskip("onnx", reason="one of them writes such a file")
        assert cli(*shlex.split(command)[1:])[0] == 0
    assert (tmp_path / "model.onnx").exists()


def test_a_command_that_needs_a_package_says_so(cli, monkeypatch):
    monkeypatch.setattr("xpmlp.cli._report.find_spec", lambda _: None)
    *_, last = cli("train", "circles", *QUICK, "--out", "run")[1].splitlines()
    assert last == "next: xpmlp export run model.onnx  # needs: pip install 'xpmlp[onnx]'"


def test_long_names_of_columns_and_folders_are_whole_in_tables_of_80_columns(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "flipper_length_of_the_left_side_mm"
    rows = "\n".join(f"{i / 40},{'odd' if i % 2 else 'even'},{'ab '[i % 3].strip()}" for i in range(40))
    (tmp_path / "table.csv").write_text(f"{name},kind,mark\n{rows}\n")
    _, out, _ = cli("train", "table.csv", "--target", "kind", *QUICK)
    assert "…" not in out
    cells = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert name in "".join(cells)
    (run,) = (tmp_path / "runs").iterdir()
    assert cli("train", "table.csv", "--target", "mark", *QUICK, "--out", "runs/other", "--validation", "0.2")[0] == 0
    assert any(line.startswith(f"{run.name} ") for line in cli("runs")[1].splitlines())


def test_lines_on_standard_error_come_as_they_are_said_where_a_program_reads_it(tmp_path):
    command = [sys.executable, "-m", "xpmlp", "train", "digits", "--epochs", "100000", "--out", "run"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own command
        try:
            assert any(line.startswith(b"epoch 1/") for line in process.stderr)
            assert process.poll() is None
        finally:
            process.kill()
