"""The benchmark of reading and predicting tables: both predict all rows, and each is measured."""

from __future__ import annotations

import pandas as pd

from benchmark_tables_io import PREDICTED, compare, table_of


def test_both_read_and_predict_the_same_rows(tmp_path):
    found = compare(tmp_path, size=1000, rounds=1)
    assert len(found) == 3
    for both in found.values():
        assert list(both) == ["xpmlp", "scikit-learn"]
        assert all(value > 0 for measures in both.values() for value in measures.values())
    truth = pd.read_csv(tmp_path / "many.csv")["y"]
    assert len(truth) == PREDICTED
    for who in ("ours", "theirs"):
        predicted = pd.read_csv(tmp_path / f"many-{who}.csv")["prediction"]
        assert (predicted == truth).mean() > truth.value_counts(normalize=True).max()


def test_the_class_depends_on_a_number_and_on_a_category(rng):
    frame = table_of(500, rng)
    assert frame["y"].nunique() == 2
    assert (frame[frame["k0"] == "red"]["y"] == "yes").mean() > (frame["y"] == "yes").mean()
