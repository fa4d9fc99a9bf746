"""Reading a table, predicting one and starting for one row: xpmlp beside scikit-learn with pandas.

    pip install -e '.[bench]'
    python scripts/benchmark_tables_io.py --out benchmarks/tables_io.json

Each is a process of its own, and they take turns: the time on the clock and the processor's, and the peak of memory.
`xpmlp predict` predicts one row and many rows of a run; scikit-learn's script unpickles a pipeline of one-hot
categories, scaled numbers and its own MLP, and does the same by pandas. Then both read a large table, and learn how its
columns are to be encoded.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.table import Table
from sklearn.compose import ColumnTransformer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmark_devices import machine
from commands import print_table, run_script
from xpmlp.common.files import check_place, write_whole

NUMBERS, CATEGORIES = [f"x{index}" for index in range(8)], ["k0", "k1"]
TRAINED, PREDICTED = 1000, 10_000  # rows
BLOCK = 100_000  # rows of the large table that are written at a time
# Bytecode is kept, as it is where packages are installed.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

# A process begins with the peak of memory of the one that starts it, so a small one does.
LAUNCHER = """
import json, os, sys, time
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([status, time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
"""
THEIR_PREDICTION = """
import pickle, sys
import pandas as pd
with open(sys.argv[1], "rb") as file:
    model = pickle.load(file)
pd.DataFrame({"prediction": model.predict(pd.read_csv(sys.argv[2]))}).to_csv(sys.argv[3], index=False)
"""
THEIR_READING = f"""
import sys
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
steps = [("numbers", StandardScaler(), {NUMBERS}), ("categories", OneHotEncoder(), {CATEGORIES})]
ColumnTransformer(steps).fit(pd.read_csv(sys.argv[1]))
"""
OUR_READING = """
import sys
from xpmlp import TablePreparation, read_table
TablePreparation.fit(read_table(sys.argv[1], drop=["y"]))
"""


def table_of(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw a table of numbers and categories, with a class that depends on both."""
    frame = pd.DataFrame(rng.standard_normal((n, len(NUMBERS))).round(4), columns=NUMBERS)
    for name in CATEGORIES:
        frame[name] = rng.choice(["red", "green", "blue"], n)
    frame["y"] = np.where(frame["x0"] + (frame["k0"] == "red") > 0.3, "yes", "no")
    return frame


def write_large(path: Path, size: int) -> int:
    """Write a table of so many bytes, or a block of rows more; return how many rows it has."""
    rng, n = np.random.default_rng(1), 0
    while not n or path.stat().st_size < size:
        rows = BLOCK if size > 2**24 else 1000
        table_of(rows, rng).to_csv(path, mode="a" if n else "w", header=not n, index=False)
        n += rows
    return n


def prepare(folder: Path) -> None:
    """Train both models on the same table, and write the rows to predict."""
    rng = np.random.default_rng(0)
    train = table_of(TRAINED, rng)
    train.to_csv(folder / "train.csv", index=False)
    for name, n in (("row", 1), ("many", PREDICTED)):
        table_of(n, rng).to_csv(folder / f"{name}.csv", index=False)
    command = ["train", "train.csv", "--target", "y", "--epochs", "3", "--out", "run", "--quiet"]
    train_ours = [sys.executable, "-m", "xpmlp", *command]
    subprocess.run(train_ours, check=True, capture_output=True, cwd=folder, env=ENVIRONMENT)  # noqa: S603 - our own
    steps = [("numbers", StandardScaler(), NUMBERS), ("categories", OneHotEncoder(), CATEGORIES)]
    theirs = make_pipeline(ColumnTransformer(steps), MLPClassifier((50,), max_iter=50, tol=0.1, random_state=0))
    with (folder / "theirs.pickle").open("wb") as file:
        pickle.dump(theirs.fit(train[NUMBERS + CATEGORIES], train["y"]), file)


def commands() -> dict[str, dict[str, list[str]]]:
    """Return what is measured, and the arguments of Python of both."""
    found: dict[str, dict[str, list[str]]] = {}
    for title, name in (("predict one row", "row"), (f"predict {PREDICTED:,} rows", "many")):
        ours = ["-m", "xpmlp", "predict", "run", f"{name}.csv", "--out", f"{name}-ours.csv", "--overwrite"]
        theirs = ["-c", THEIR_PREDICTION, "theirs.pickle", f"{name}.csv", f"{name}-theirs.csv"]
        found[title] = {"xpmlp": ours, "scikit-learn": theirs}
    found["read the large table"] = {
        "xpmlp": ["-c", OUR_READING, "large.csv"],
        "scikit-learn": ["-c", THEIR_READING, "large.csv"],
    }
    return found


def measure(arguments: list[str], folder: Path) -> tuple[float, float, int]:
    """Return the seconds on the clock and of the processor that a process takes, and its peak of memory in bytes."""
    command = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=ENVIRONMENT)  # noqa: S603 - as above
    status, seconds, cpu_seconds, peak = json.loads(done.stdout.splitlines()[-1])
    if status:
        raise RuntimeError(done.stderr)
    return seconds, cpu_seconds, peak


def compare(folder: Path, size: int, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure all, by turns: the medians of each."""
    prepare(folder)
    write_large(folder / "large.csv", size)
    found = {}
    for title, both in commands().items():
        taken: dict[str, list[tuple[float, float, int]]] = {who: [] for who in both}
        for _ in range(rounds):
            for who, arguments in both.items():
                taken[who].append(measure(arguments, folder))
        names = ("seconds", "cpu_seconds", "peak_bytes")
        found[title] = {
            who: dict(zip(names, np.median(each, axis=0).tolist(), strict=True)) for who, each in taken.items()
        }
    return found


def main(
    size: Annotated[int, typer.Option(help="Bytes of the large table.")] = 10**9,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 5,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
) -> None:
    """Measure reading, predicting and starting."""
    if out is not None:
        check_place(out, [".json"])
    with TemporaryDirectory() as name:
        found = compare(Path(name), size, rounds)
    shown = Table("", "by", "seconds", "of the processor", "peak MB")
    for title, both in found.items():
        for who, each in both.items():
            shown.add_row(
                title, who, f"{each['seconds']:.2f}", f"{each['cpu_seconds']:.2f}", f"{each['peak_bytes'] / 1e6:.0f}"
            )
    print_table(shown)
    if out is not None:
        report = {"command": " ".join(["python", *sys.argv]), "machine": machine(), "size": size, "rounds": rounds}
        write_whole(out, (json.dumps(report | {"results": found}, indent=1) + "\n").encode())


if __name__ == "__main__":
    run_script(main)
