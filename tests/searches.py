"""What the tests of the search share: a small search, and its table."""

from __future__ import annotations

import csv

from xpmlp.experiments.options import Options

QUICK = Options("circles", epochs=2)
GRID = {"hidden": [4, [8, 8]], "learning-rate": [0.003, 0.03]}


def table(folder):
    """The rows of results.csv, without the seconds."""
    rows = list(csv.DictReader(folder.results.read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def draw_no_figures(monkeypatch):
    """They take longer than the searches of the tests: matplotlib writes empty files."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)
