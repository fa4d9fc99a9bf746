"""Decision boundaries of 32 models on the circles (figs. 3-5), trained as stacks."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from reproduction.findings import judge
from xpmlp import DivergenceError, Member, train_many
from xpmlp.common.files import write_whole
from xpmlp.experiments.experiment import load_splits, prepare
from xpmlp.experiments.options import Options
from xpmlp.plots import Regions, plane_grid, regions_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reproduction.findings import Finding
    from reproduction.plan import Plan
    from xpmlp import Record
    from xpmlp.experiments.experiment import Experiment

GRID = tuple(itertools.product((5, 100), (5e-2, 5e-3), (0.0, 0.01), (0.0, 0.01), (25, 100)))
QUICK_GRID = tuple(cell for cell in GRID if cell[1] == 5e-2 and cell[2] == cell[3] and cell[4] == 100)
BATCH_SIZE = 10  # that of the gradient checks: the report does not say which it took here
EXTENT = (-1.6, 1.6, -1.6, 1.6)
POINTS = 161  # of the grid that is drawn, along each side
COLUMNS = ("hidden", "learning_rate", "l1", "l2", "epochs")
MEASURES = ("train_accuracy", "test_accuracy", "train_errors", "lowest", "highest", "spread", "seconds")


@dataclass(frozen=True, eq=False)
class Trained:
    """One model of the grid: what it was made from, what it reached, and what it says of the plane."""

    options: dict[str, Any]
    measured: dict[str, float]
    probability: np.ndarray

    @property
    def row(self) -> dict[str, Any]:
        """Its row of the table."""
        return self.options | self.measured

    @property
    def name(self) -> str:
        """Its settings, in a file's name."""
        o = self.options
        return f"h{o['hidden']}-lr{o['learning_rate']:g}-l1_{o['l1']:g}-l2_{o['l2']:g}-e{o['epochs']}"

    @property
    def title(self) -> str:
        """Its settings and accuracies, in two lines."""
        o, m = self.options, self.measured
        return (
            f"{o['hidden']} units, rate {o['learning_rate']:g}, L1 {o['l1']:g}, L2 {o['l2']:g}, {o['epochs']} epochs\n"
            f"accuracy: train {m['train_accuracy']:.3f}, test {m['test_accuracy']:.3f}"
        )

    @property
    def short_title(self) -> str:
        """The same, in three short lines."""
        o, m = self.options, self.measured
        return (
            f"{o['hidden']} units, rate {o['learning_rate']:g}\n"
            f"L1 {o['l1']:g}, L2 {o['l2']:g}, {o['epochs']} epochs\n"
            f"train {m['train_accuracy']:.3f}, test {m['test_accuracy']:.3f}"
        )

    def regions(self, title: str, parts: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Regions:
        """Return what is drawn of it."""
        return Regions(title, np.stack([1.0 - self.probability, self.probability], axis=-1), EXTENT, parts)


def options_of(
    hidden: int, learning_rate: float, l1: float, l2: float, epochs: int, backend: str, device: str
) -> Options:
    """Return what a model of the grid is made from: plain SGD at a constant rate."""
    return Options(
        dataset="circles",
        validation=0.0,
        hidden=(hidden,),
        init="report",
        optimizer="sgd",
        schedule="constant",
        learning_rate=learning_rate,
        l1=(l1,),
        l2=(l2,),
        epochs=epochs,
        batch_size=BATCH_SIZE,
        backend=backend,
        device=device,
    )


def train_grid(
    grid: Sequence[tuple[int, float, float, float, int]], backend: str, device: str, threads: int | None = 1
) -> list[Trained]:
    """Train the models of the grid at once: those of as many units as stacks (docs/stack.md)."""
    with threadpool_limits(threads):
        experiments = [prepare(options_of(*cell, backend, device)) for cell in grid]
        first = experiments[0]
        members = [Member(each.model.network, each.model.layers, each.recipe) for each in experiments]
        X, T = first.sets["train"]
        *_, records = train_many(first.backend, members, X, T, evaluate=first.sets)
        return [
            _trained(cell, experiment, record)
            for cell, experiment, record in zip(grid, experiments, records, strict=True)
        ]


def _trained(
    cell: tuple[int, float, float, float, int], experiment: Experiment, record: Record | DivergenceError
) -> Trained:
    if isinstance(record, DivergenceError):
        raise record
    probability = experiment.trained(record.layers).predict_proba(plane_grid(EXTENT, POINTS))[:, 1]
    train, test = record.scores["train"], record.scores["test"]
    n = experiment.sets["train"][0].shape[0]
    measured = {
        "train_accuracy": train.accuracy,
        "test_accuracy": test.accuracy,
        "train_errors": round(n * (1.0 - train.accuracy)),
        "lowest": float(probability.min()),
        "highest": float(probability.max()),
        "spread": float(probability.std()),
        "seconds": record.seconds,
    }
    return Trained(dict(zip(COLUMNS, cell, strict=True)), measured, probability.reshape(POINTS, POINTS))


def best_circle(X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Find the circle around the origin with the fewest examples on its wrong side: class 1 lies inside."""
    radius = np.hypot(X[:, 0], X[:, 1])
    candidates = np.sort(radius)
    errors = [int(np.sum((radius < candidate) != (y == 1))) for candidate in candidates]
    best = int(np.argmin(errors))
    return {"radius": float(candidates[best]), "errors": errors[best], "accuracy": 1.0 - errors[best] / len(y)}


def draw_boundaries(plan: Plan) -> dict[str, Any]:
    """Train the grid, draw every model and the contact sheet, write the table, and judge the report's findings."""
    models = train_grid(QUICK_GRID if plan.quick else GRID, plan.backend, plan.device, plan.threads)
    options = options_of(*GRID[0], plan.backend, plan.device)
    _, parts = load_splits(options)
    data = {"train": parts.train, "test": parts.test}

    pictures = [
        plan.show(
            regions_figure([model.regions(model.title, data)], ""),
            f"boundaries/{number:02d}-{model.name}.png",
            f"Decision regions: {model.title}".replace("\n", "; "),
        )
        for number, model in enumerate(models, start=1)
    ]
    panels = [model.regions(model.short_title, data) for model in models]
    sheet = regions_figure(panels, f"circles: {len(models)} models", columns=4, side=2.0)
    rows = [model.row for model in models]
    _write_table(plan, rows)
    circle = best_circle(*parts.train)
    return {
        "batch_size": BATCH_SIZE,
        "seed": options.seed,
        "examples": {name: len(y) for name, (_, y) in data.items()},
        "best_circle": circle,
        "sheet": plan.show(sheet, "figures/boundaries.png", f"Decision regions of all {len(models)} models."),
        "models": [row | {"picture": picture} for row, picture in zip(rows, pictures, strict=True)],
        "findings": [asdict(finding) | _shown(plan, finding, panels) for finding in judge(rows, circle)],
    }


def _shown(plan: Plan, finding: Finding, panels: Sequence[Regions]) -> dict[str, Any]:
    """Draw the models that a finding speaks of: our form of the report's figure."""
    figure = regions_figure([panels[number] for number in finding.models], "", columns=4, side=2.6)
    alt = f"Decision regions of the models that figure {finding.figure} is about: {finding.finding}."
    return {"picture": plan.show(figure, f"figures/finding-{finding.figure}.png", alt)}


def _write_table(plan: Plan, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*COLUMNS, *MEASURES])
    writer.writeheader()
    writer.writerows(rows)
    write_whole(plan.out / "boundaries.csv", text.getvalue().encode())
