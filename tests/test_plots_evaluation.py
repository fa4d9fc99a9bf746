"""Figures of what a trained model does on new data, and the curves of a regression."""

from __future__ import annotations

import numpy as np
import pytest
from test_plots import drawn, overlapping, shown_names

from xpmlp import Record
from xpmlp.plots import curves_figure, importance_figure, probabilities_figure, residuals_figure
from xpmlp.training.scoring import Score


def test_curves_of_a_regression_show_loss_and_r2_which_ends_at_minus_one():
    scores = [Score(loss, r2=r2, rmse=1.0, mae=1.0) for loss, r2 in ((900.0, -50.0), (2.0, 0.5), (1.0, 0.75))]
    records = [
        Record(epoch, 0.0, 1, 1.0, 0.1, 0.1, {"train": score}, [], None, True)
        for epoch, score in enumerate(scores, start=1)
    ]
    left, right = drawn(curves_figure(records, "houses")).axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("mean loss\n(log axis)", "R2")
    assert right.get_ylim()[0] == -1.0
    assert right.lines[0].get_label() == "train (0.7500)"


def curve(area):
    return np.array([0.0, 0.2, 1.0]), np.array([0.0, area, 1.0]), area


def test_roc_curves_name_their_classes_and_areas_the_smallest_first():
    roc = {"ant": curve(0.9), "bee": curve(0.7)}
    calibration = (np.array([0.1, 0.9]), np.array([0.2, 0.8]), "probability of the predicted class")
    left, right = drawn(probabilities_figure(roc, calibration, "insects: accuracy 0.9")).axes
    assert shown_names(left.get_legend().get_texts()) == ["bee (0.7000)", "ant (0.9000)"]
    assert right.get_xlabel() == "probability of the predicted class"
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[0.1, 0.2], [0.9, 0.8]])
    assert right.get_xlim()[1] > 0.9


def test_of_many_classes_the_hardest_eight_are_drawn_and_small_probabilities_fill_their_axes():
    roc = {f"class {n}": curve(0.5 + n / 100) for n in range(26)}
    calibration = (np.array([0.01, 0.02]), np.array([0.0, 0.04]), "probability of fraud")
    left, right = drawn(probabilities_figure(roc, calibration, "letters")).axes
    assert shown_names(left.get_legend().get_texts())[0] == "class 0 (0.5000)"
    assert len(left.get_legend().get_texts()) == 8
    assert "smallest 8 of 26 areas" in left.get_legend().get_title().get_text()
    assert right.get_xlim()[1] < 0.1


@pytest.mark.parametrize("n", [50, 5_000])
def test_errors_are_points_or_where_there_are_many_counts(rng, n):
    true = 2e5 + 5e4 * rng.normal(size=n)
    predicted = true + 1e4 * rng.normal(size=n)
    figure = drawn(residuals_figure(true, predicted, "SalePrice", "houses, test"))
    left, right = figure.axes[:2]
    assert (left.get_xlabel(), left.get_ylabel()) == ("true SalePrice", "predicted SalePrice")
    assert right.get_ylabel() == "error (predicted - true)"
    assert len(figure.axes) == (2 if n == 50 else 4)
    values = left.collections[0].get_offsets() if n == 50 else left.collections[0].get_array()
    assert (len(values) if n == 50 else values.sum()) == n
    for axes in (left, right):
        assert overlapping([label for label in axes.get_xticklabels() if label.get_text()]) == 0


def test_the_most_important_columns_are_on_top_and_thirty_at_most():
    names = [f"a column with a rather long name, number {n}" for n in range(40)]
    means = np.linspace(1.0, -0.1, 40).tolist()
    (axes,) = drawn(importance_figure(names, means, [0.1] * 40, "fall of R2", "houses, test")).axes
    assert len(axes.patches) == 30
    assert axes.patches[0].get_width() == 1.0
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert overlapping(axes.get_yticklabels()) == 0
    assert "first 30 of 40" in axes.figure.get_suptitle()
