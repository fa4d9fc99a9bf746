"""The command line on data that are read from disk by rows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import benchmark_streams
from pages import DOCS, shown
from streaming.made_up import write
from xpmlp import InputError, XpmlpError
from xpmlp.cli import main
from xpmlp.data.streams.stream import READER
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder
from xpmlp.models.checkpoints import load_checkpoint

QUICK = ("--hidden", "8", "--epochs", "3", "--quiet")
N = 2000
BENCHMARKS = DOCS.parent / "benchmarks"


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run the command line in an empty folder: gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xpmlp", *map(str, arguments)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    return run


def made(dtype):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, N)
    return (60 * rng.random((N, 4, 2)) + 90 * np.eye(3, 8)[y].reshape(N, 4, 2)).astype(dtype), y


@pytest.fixture
def data(tmp_path):
    """Write a folder of arrays: gives what makes them, by their dtype."""

    def write(dtype=np.float32, name="images"):
        (tmp_path / name).mkdir()
        X, y = made(dtype)
        np.save(tmp_path / name / "X.npy", X)
        np.save(tmp_path / name / "y.npy", np.array(["cat", "dog", "owl"])[y])
        return name

    return write


@pytest.mark.parametrize(
    ("dtype", "preprocessing"),
    [
        (np.float32, "each feature to mean 0 and standard deviation 1"),
        (np.uint8, "divided by 255"),
    ],
)
def test_a_folder_is_trained_on_scored_and_shown_as_data_in_memory_are(cli, data, dtype, preprocessing):
    folder = data(dtype)
    assert cli("train", folder, "--out", "run", *QUICK)[:2] == (0, "")
    card = json.loads(cli("show", "run", "--json")[1])
    assert (card["state"], card["preprocessing"]) == ("finished", preprocessing)
    assert (card["data"]["name"], card["data"]["features"], card["classes"]) == (folder, 8, ["cat", "dog", "owl"])
    examples = card["data"]["examples"]
    assert sum(examples.values()) == N
    assert examples["test"] == pytest.approx(0.2 * N, rel=0.05)

    code, out, _ = cli("evaluate", "run")
    assert code == 0
    last = card["metrics"]["last"]
    assert out.startswith(f"images, test: accuracy {last['test_accuracy']:.4f}, NLL {last['test_loss']:.4f}")
    assert f"{examples['test']:,} examples" in out

    X, y = made(dtype)
    y = np.array(["cat", "dog", "owl"])[y]
    np.savez("same.npz", X=X, y=y)
    from_disk, in_memory = cli("evaluate", "run", folder), cli("evaluate", "run", "same.npz")
    assert "these are the data that the run was trained on" in from_disk[2]
    assert from_disk[1].replace("images", "same") == in_memory[1]
    predicted = cli("predict", "run", "same.npz")[1].splitlines()[1:]
    assert f"accuracy {np.mean(np.array(predicted) == y):.4f}" in in_memory[1]


def test_few_examples_get_more_epochs_here_too(data, tmp_path):
    assert prepare(Options(dataset=str(tmp_path / data()), batch_size=1000)).recipe.epochs == 750


def test_a_run_that_ended_early_goes_on_to_the_same_bytes_and_not_with_other_data(cli, data, tmp_path, monkeypatch):
    folder = data()
    assert cli("train", folder, "--out", "whole", *QUICK)[0] == 0
    kept = {}

    def end(folder, experiment, records):
        save(folder, experiment, records)
        kept["epochs"] = len(records)
        raise SystemExit(9)

    save = RunFolder.save_checkpoint
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save_checkpoint", end)
        assert cli("train", folder, "--out", "run", *QUICK)[0] == 9
    assert kept["epochs"] == load_checkpoint(tmp_path / "run" / "checkpoint.safetensors").records[-1].epoch == 1

    X = np.load(tmp_path / folder / "X.npy")
    changed = X.copy()
    changed[0] += 1
    np.save(tmp_path / folder / "X.npy", changed)
    code, _, err = cli("train", "--resume", "run", "--quiet")
    assert code == 2
    assert "its data changed since its checkpoint was written" in err
    np.save(tmp_path / folder / "X.npy", X)
    assert cli("train", "--resume", "run", "--quiet")[0] == 0
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole"))
    assert one == other


def test_a_run_knows_its_data_from_any_folder_and_refuses_changed_ones(cli, data, tmp_path, monkeypatch):
    folder = data()
    assert cli("train", f"./{folder}", "--out", "run", *QUICK)[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli("evaluate", "../run")[0] == 0
    y = np.load(tmp_path / folder / "y.npy")
    y[1234] = "cat" if y[1234] != "cat" else "dog"
    np.save(tmp_path / folder / "y.npy", y)
    code, _, err = cli("evaluate", "../run")
    assert code == 2
    assert "has changed since the run was trained" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "images", "--target", "kind"), "names a column of a .csv file"),
        (("evaluate", "run", "images", "--target", "kind"), "names a column of a .csv file"),
        (("evaluate", "run", "other"), "X has 2 features, but the model was trained on 8"),
        (("train", "empty"), "holds neither X.npy and y.npy nor shards"),
        (("train", "nothing.h5"), "There is no file"),
        (("train", "nothing.zarr"), "a Zarr group is a folder"),
    ],
)
def test_what_cannot_be_used_is_one_message_with_exit_code_2(cli, data, tmp_path, arguments, message):
    folder = data()
    if arguments[0] == "evaluate":
        assert cli("train", folder, "--out", "run", *QUICK)[0] == 0
    for name in ("other", "empty"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "other" / "X.npy", np.eye(2))
    np.save(tmp_path / "other" / "y.npy", np.array(["cat", "dog"]))
    code, _, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_damaged_value_met_in_training_ends_the_run_with_a_message_and_no_thread(cli, data, tmp_path):
    folder = data()
    X = np.load(tmp_path / folder / "X.npy")
    X[:, 0, 0] = np.nan
    np.save(tmp_path / folder / "X.npy", X)
    code, _, err = cli("train", folder, "--out", "run", "--scaling", "none", *QUICK)
    assert code == 2
    assert "NaN or infinite" in err
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(READER)]


# Trains in a process of its own, in two ways, and says what it held at most, up to then, beside what it held before.
BOUNDED = """
import sys
from pathlib import Path
import numpy as np
from xpmlp import Network, Recipe, Scaling, get_backend, initialize, train
from xpmlp.data.streams import Stream, load_stream
def peak():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
backend = get_backend("numpy")
network = Network.build(784, [16], 10)
Scaling.fit("standard", np.eye(2))
before = peak()
for kind, chunk in (("range", 4), ("standard", 12)):
    data, parts = load_stream(sys.argv[1], validation=0.1)
    part = parts.train[0]
    scaling = Scaling.fit_blocks(kind, part.examples(), 784, data.pixel_max)
    streams = {name: Stream(backend, getattr(parts, name)[0], data.classes, scaling, chunk_bytes=chunk * 2**20)
               for name in ("train", "validation")}
    sets = {name: (stream, None) for name, stream in streams.items()}
    (record,) = train(backend, network, initialize(network), streams["train"], None, Recipe(batch_size=256, epochs=1),
                      evaluate=sets)
    assert record.complete
    print(chunk, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
def test_resident_memory_stays_below_two_chunks_and_128_mib(tmp_path):
    """The bound of docs/streams.md, on 150 MB of pixels, as they are and to mean 0 and standard deviation 1."""
    write(tmp_path / "data", 150_000_000, "uint8")
    arguments = [sys.executable, "-c", BOUNDED, tmp_path / "data"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        chunk, taken = map(float, line.split())
        assert taken < 2 * chunk + 128
    assert chunk == 12, "of both trainings"


def test_the_benchmark_trains_from_disk_and_from_memory_to_the_same_loss_and_fills_its_page(tmp_path, monkeypatch):
    out = tmp_path / "found.json"
    benchmark_streams.main(tmp_path / "data", 0.01, threads=1, chunk_mib=4.0, out=out, memory=True)
    found = json.loads(out.read_text())
    summary = found["summary"]
    assert summary["stream"]["loss"] == pytest.approx(summary["memory"]["loss"], rel=0.01)
    assert summary["share_of_speed"] > 0
    assert found["data"]["examples"] == 12755
    with pytest.raises(XpmlpError, match="MiB were resident, above 1"):
        benchmark_streams.check(summary, 1.0, None)
    with pytest.raises(XpmlpError, match="share of the speed from memory is below 1000"):
        benchmark_streams.check(summary, None, 1000.0)
    benchmark_streams.check(summary, 4096.0, 1e-3)

    page = tmp_path / "streams.md"
    page.write_bytes(benchmark_streams.PAGE.read_bytes())
    monkeypatch.setattr(benchmark_streams, "PAGE", page)
    benchmark_streams.main(page=[out, out])
    *_, row, again = shown(page)
    assert row == again
    share, peak = summary["share_of_speed"], summary["stream"]["peak_mib"]
    assert row.startswith("| 0.0 GB of uint8 | 1 |")
    assert f"| {share:.0%} | {peak:.0f} |" in row
    with pytest.raises(InputError, match="name the folder where the data are"):
        benchmark_streams.main()


def test_the_page_has_the_table_of_what_was_measured():
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(BENCHMARKS.glob("streams-*.json"))]
    assert shown(DOCS / "streams.md") == (list(benchmark_streams.table(found)) if found else ["Not measured yet."])


def test_the_command_that_is_kept_names_no_place_of_a_machine():
    assert [benchmark_streams.without_place(word) for word in ("/tmp/20GB", "--out", "out/a.json")] == [  # noqa: S108 - nothing is written there
        "20GB",
        "--out",
        "out/a.json",
    ]
