"""The final model on Fashion-MNIST (fig. 10), and a modern configuration of the same program beside it."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from reproduction.reference import INDEPENDENT_ACCURACY
from xpmlp.common.wording import counted
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder
from xpmlp.plots import comparison_figure, curves_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reproduction.plan import Plan
    from xpmlp import Record

FINAL = Options(
    dataset="fashion-mnist",
    hidden=(50,),
    init="report",
    l2=(0.001,),
    optimizer="sgd",
    learning_rate=0.001,
    schedule="constant",
    batch_size=256,
    epochs=100,
)
MODERN = Options(  # the choice of choose_modern.py, on the validation part: benchmarks/modern-choice.json
    dataset="fashion-mnist",
    hidden=(512, 256),
    dropout=(0.3,),
    optimizer="adamw",
    learning_rate=0.002,
    weight_decay=0.05,
    schedule="cosine",
    batch_size=256,
    epochs=40,
    validation=0.1,
)
SEEDS = (0, 1, 2)
QUICK_SEEDS = (0, 1)
QUICK_EPOCHS = {"final": 2, "modern": 1}
QUICK_UNITS = 32  # of each of the modern configuration's layers


def runs_of(plan: Plan) -> dict[str, Options]:
    """Name every run, the longest first, with its options."""
    final, modern, seeds = FINAL, MODERN, SEEDS
    if plan.quick:
        final = replace(final, epochs=QUICK_EPOCHS["final"])
        modern = replace(modern, epochs=QUICK_EPOCHS["modern"], hidden=(QUICK_UNITS,) * len(modern.hidden))
        seeds = QUICK_SEEDS
    place = {"backend": plan.backend, "device": plan.device, "data_dir": plan.data_dir}
    return {
        **{f"modern-seed-{seed}": replace(modern, seed=seed, **place) for seed in seeds},
        "final": replace(final, **place),
        "final-all-images": replace(final, validation=0.0, **place),
    }


def train_run(name: str, options: Options, path: Path, threads: int | None) -> list[Record]:
    """Train one model into a run folder, with a line of its log for each epoch; gives the records without weights."""
    folder = RunFolder(path)
    records: list[Record] = []
    with threadpool_limits(threads):
        experiment = prepare(options)
        folder.start(experiment)
        folder.write_log(title_of(options))
        for record in experiment.records():
            records.append(replace(record, layers=[], state=None))
            folder.add(record)
            scores = (f"{part} loss {s.loss:.4f} accuracy {s.accuracy:.4f}" for part, s in record.scores.items())
            folder.write_log(f"epoch {record.epoch}/{options.epochs}: {', '.join(scores)}, {record.seconds:.1f} s")
            last = record
    folder.save(experiment.trained(last.layers))
    save_figure(curves_figure(records, title_of(options)), folder.curves)
    print(f"  {name}: {len(records)} epochs in {records[-1].seconds:.1f} s", file=sys.stderr, flush=True)
    return records


def title_of(options: Options) -> str:
    """Describe a configuration in a line."""
    units = "-".join(map(str, options.hidden))
    return (
        f"{options.dataset}: {units} hidden units, {options.optimizer} at {options.highest_rate:g}, "
        f"K = {options.batch_size}, {counted(options.epochs, 'epoch')}, seed {options.seed}"
    )


def train_fashion(plan: Plan) -> dict[str, Any]:
    """Train the final model twice and the modern one once for each seed, side by side, and compare them."""
    runs = runs_of(plan)
    done = Parallel(n_jobs=plan.jobs)(
        delayed(train_run)(name, options, plan.run(name), plan.threads) for name, options in runs.items()
    )
    records: dict[str, list[Record]] = dict(zip(runs, done, strict=True))
    modern = [name for name in runs if name.startswith("modern")]
    alt = "Mean negative log-likelihood and accuracy by epoch, on the training, validation and test images: {}."
    beside = {"final model": records["final"], "modern configuration": records[modern[0]]}
    return {
        "final": {
            **_summary(runs["final"], records["final"]),
            "picture": plan.show(
                curves_figure(records["final"], title_of(runs["final"])),
                "figures/final.png",
                alt.format("the report's final model"),
            ),
        },
        "final_all_images": _summary(runs["final-all-images"], records["final-all-images"]),
        "epochs": _beside_independent(records),
        "modern": {
            "runs": [{"run": name, **_summary(runs[name], records[name])} for name in modern],
            "mean_test_accuracy": _mean(records, modern, "test"),
            "mean_validation_accuracy": _mean(records, modern, "validation"),
            "picture": plan.show(
                curves_figure(records[modern[0]], title_of(runs[modern[0]])),
                "figures/modern.png",
                alt.format("the modern configuration"),
            ),
        },
        "comparison": plan.show(
            comparison_figure(beside, "Fashion-MNIST: the report's final model and a modern configuration"),
            "figures/comparison.png",
            "Curves of the report's final model and of the modern configuration in the same axes.",
        ),
    }


def _summary(options: Options, records: list[Record]) -> dict[str, Any]:
    """Give what the page says of a run: how it was made, and where it ended."""
    configuration = {name: value for name, value in options.to_json().items() if name != "data_dir"}
    last = records[-1]
    return {
        "options": configuration,
        "title": title_of(options),
        "epochs": len(records),
        "seconds": last.seconds,
        "scores": {part: asdict(score) for part, score in last.scores.items()},
    }


def _beside_independent(records: Mapping[str, list[Record]]) -> list[dict[str, Any]]:
    """Set our test accuracies beside those of the independent run, at its epochs; in a quick run, at the last one."""
    whole, parted = records["final-all-images"], records["final"]
    epochs = [epoch for epoch in INDEPENDENT_ACCURACY if epoch <= len(whole)]
    return [
        {
            "epoch": epoch,
            "independent": INDEPENDENT_ACCURACY.get(epoch),
            "all_images": whole[epoch - 1].scores["test"].accuracy,
            "parted": parted[epoch - 1].scores["test"].accuracy,
        }
        for epoch in dict.fromkeys([*epochs, len(whole)])
    ]


def _mean(records: Mapping[str, list[Record]], names: list[str], part: str) -> float:
    return sum(records[name][-1].scores[part].accuracy for name in names) / len(names)
