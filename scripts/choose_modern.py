"""Choose the modern configuration of `reproduce_report.py`: by its accuracy on the validation part alone.

    XPMLP_DATA=... python scripts/choose_modern.py --out benchmarks/modern-choice.json

Each candidate is trained once, with seed 0, on nine tenths of the training images of Fashion-MNIST; the test images are
not looked at.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated, Any

import typer

from benchmark_devices import machine
from commands import run_script
from xpmlp.common.files import check_place, write_whole
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options

COMMON = Options(dataset="fashion-mnist", optimizer="adamw", schedule="cosine", epochs=40, validation=0.1)
CANDIDATES: list[dict[str, Any]] = [
    {"hidden": (512,), "dropout": (0.3,), "learning_rate": 0.002, "weight_decay": 0.05, "batch_size": 256},
    {"hidden": (512,), "dropout": (0.3,), "learning_rate": 0.001, "weight_decay": 0.05, "batch_size": 128},
    {"hidden": (1024,), "dropout": (0.5,), "learning_rate": 0.001, "weight_decay": 0.05, "batch_size": 256},
    {"hidden": (512, 256), "dropout": (0.3,), "learning_rate": 0.002, "weight_decay": 0.05, "batch_size": 256},
    {"hidden": (512, 256), "dropout": (0.4,), "learning_rate": 0.002, "weight_decay": 0.1, "batch_size": 256},
    {
        "hidden": (512, 512),
        "dropout": (0.3,),
        "activation": ("gelu",),
        "learning_rate": 0.001,
        "weight_decay": 0.1,
        "batch_size": 256,
    },
]


def validation_accuracy(options: Options) -> float:
    """Train once; the accuracy on the validation part after the last epoch."""
    experiment = prepare(options)
    sets = {"validation": experiment.sets["validation"]}
    *_, record = replace(experiment, sets={"train": experiment.sets["train"], **sets}).records()
    return record.scores["validation"].accuracy


def main(
    backend: Annotated[str, typer.Option(help="Array library to compute with.")] = "numpy",
    device: Annotated[str | None, typer.Option(help="One of its devices.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where Fashion-MNIST lies.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
) -> None:
    """Train every candidate and name the one that is best on the validation part."""
    if out is not None:
        check_place(out, [".json"])
    results = []
    for changes in CANDIDATES:
        options = replace(COMMON, backend=backend, device=device, data_dir=data_dir, **changes)
        accuracy = validation_accuracy(options)
        print(f"{accuracy:.4f}  {changes}", flush=True)
        results.append({"changes": changes, "validation_accuracy": accuracy})
    best = max(results, key=lambda result: result["validation_accuracy"])
    print(f"chosen: {best['changes']}")
    if out is not None:
        report = {"command": " ".join(["python", *sys.argv]), "machine": machine(), "common": COMMON.to_json()}
        write_whole(out, (json.dumps(report | {"results": results, "chosen": best}, indent=1) + "\n").encode())


if __name__ == "__main__":
    run_script(main)
