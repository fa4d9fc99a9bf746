"""Figures: what is in them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import open_backend

from xpmlp import InputError
from xpmlp.experiments import check_circles, prepare
from xpmlp.options import Options
from xpmlp.plots import (
    ParallelAxis,
    Regions,
    comparison_figure,
    confusion_figure,
    curves_figure,
    gradient_figure,
    images_figure,
    parallel_figure,
    plane_grid,
    regions_figure,
    save_figure,
    weights_figure,
)


def test_curves_show_every_part_in_loss_and_accuracy_with_axes_named():
    records = list(prepare(Options(dataset="circles", hidden=(4,), epochs=3)).records())
    figure = curves_figure(records, "the title")
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "mean negative log-likelihood (nats)"
    assert accuracy.get_ylabel() == "accuracy"
    assert [line.get_label().split()[0] for line in loss.lines] == ["train", "validation", "test"]
    assert len({line.get_color() for line in loss.lines}) == len({line.get_linestyle() for line in loss.lines}) == 3
    np.testing.assert_allclose(accuracy.lines[2].get_ydata(), [r.scores["test"].accuracy for r in records])


def test_the_confusion_matrix_shows_counts_and_class_names():
    axes, _ = confusion_figure(np.array([[3, 1], [0, 4]]), ["cat", "dog"], "title").axes
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "4"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


def test_the_gradient_figure_names_every_parameter_and_the_worst():
    check = check_circles(open_backend("numpy"))
    figure = gradient_figure(check, "circles")
    left, right = figure.axes
    names = {parameter.name for parameter in check.parameters}
    assert {text.get_text() for text in left.texts} == names
    assert {label.get_text() for label in right.get_xticklabels()} == names
    assert check.worst.name in figure.get_suptitle()
    assert check.worst_ratio.name in figure.get_suptitle()


def test_a_figure_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    figure = confusion_figure(np.eye(2, dtype=int), ["a", "b"], "t")
    save_figure(figure, tmp_path / "there.png")
    assert (tmp_path / "there.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="cannot be written"):
        save_figure(figure, tmp_path / "nowhere" / "there.png")


def test_two_runs_in_one_figure_differ_by_colour_and_their_parts_by_dashes():
    runs = {
        name: list(prepare(Options(dataset="circles", hidden=(4,), epochs=epochs)).records())
        for name, epochs in (("short", 2), ("long", 3))
    }
    figure = comparison_figure(runs, "the title")
    loss, accuracy = figure.axes
    colours = [line.get_color() for line in accuracy.lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert [line.get_linestyle() for line in accuracy.lines] == [":", "-", ":", "-"]
    assert [len(line.get_xdata()) for line in loss.lines] == [2, 2, 3, 3]
    (legend,) = figure.legends
    last = runs["long"][-1].scores["test"].accuracy
    assert legend.get_texts()[-1].get_text() == f"long, test ({last:.4f})"


def test_decision_regions_show_probabilities_boundary_and_every_point():
    grid = plane_grid(2.0, 21)
    probability = (grid[:, 0] > 0).astype(float).reshape(21, 21)
    X = np.array([[-1.0, 0.0], [-1.0, 1.0], [1.0, 0.0]])
    parts = {"train": (X, np.array([0, 0, 1])), "test": (X[:1], np.array([0]))}
    panels = [Regions("first", probability, 2.0, parts), Regions("flat", 0 * probability, 2.0, parts)]
    figure = regions_figure(panels, "")
    first, flat, scale = figure.axes
    assert (first.get_title(), flat.get_title(), scale.get_ylabel()) == ("first", "flat", "probability of class 1")
    image = first.images[0].get_array()
    assert (image[:, 0] == 0.0).all()  # on the left, whatever x1 is
    assert (image[:, -1] == 1.0).all()
    shown = [len(points.get_offsets()) for points in first.collections if len(points.get_offsets())]
    assert sorted(shown)[-3:] == [1, 1, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "class 0, train",
        "class 1, train",
        "class 0, test",
        "class 1, test",
        "probability one half",
    ]


def test_the_points_of_the_plane_are_row_by_row_from_below():
    np.testing.assert_array_equal(plane_grid(1.0, 2), [[-1, -1], [1, -1], [-1, 1], [1, 1]])


def test_weights_are_images_of_their_units_on_one_scale_around_zero():
    W = np.arange(18.0).reshape(6, 3)
    units, scale = weights_figure(W, (2, 3), "title", columns=2).axes
    mosaic = units.images[0].get_array().filled(np.nan)
    assert mosaic.shape == (2 * (1 + 2), 2 * (3 + 1))
    np.testing.assert_array_equal(mosaic[1:3, 4:7], W[:, 1].reshape(2, 3))
    np.testing.assert_array_equal(mosaic[4:6, :3], W[:, 2].reshape(2, 3))
    assert np.isfinite(mosaic).sum() == W.size
    low, high = units.images[0].get_clim()
    assert low == -high < 0.0
    assert [text.get_text() for text in units.texts] == ["0", "1", "2"]
    assert scale.get_ylabel() == "weight"


def test_examples_are_images_with_their_captions():
    figure = images_figure(np.arange(12.0).reshape(3, 4), ["a\n1", "b\n2", "c\n3"], (2, 2), "title", columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["a\n1", "b\n2", "c\n3", ""]
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), [[8, 9], [10, 11]])
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 0]


def test_parallel_coordinates_show_each_trial_at_its_values_the_best_one_in_front():
    axes = [
        ParallelAxis("rate", [0.1, 0.01, 0.001], "log"),
        ParallelAxis("units", [8.0, 64.0, 36.0], "linear"),
        ParallelAxis("activation", ["tanh", "relu", "tanh"], "choice", ["relu", "tanh"]),
    ]
    figure = parallel_figure(axes, [0.9, 0.8, None], "accuracy", "the title")
    host, rate, units, activation, _, scale = figure.axes
    assert [label.get_text() for label in host.get_xticklabels()] == ["rate", "units", "activation", "accuracy"]
    assert (rate.get_yscale(), units.get_yscale()) == ("log", "linear")
    assert [label.get_text() for label in activation.get_yticklabels()] == ["relu", "tanh"]
    best, other, failed, _ = host.lines
    heights = np.array([best.get_ydata()[:3], other.get_ydata()[:3], failed.get_ydata()])
    assert heights[0, 0] - heights[1, 0] == pytest.approx(heights[1, 0] - heights[2, 0])  # a decade each
    assert heights[1, 1] - heights[2, 1] == pytest.approx(heights[2, 1] - heights[0, 1])
    assert heights[1, 2] < heights[2, 2] < heights[0, 2]  # those of one value are spread, the better one above
    assert heights[0, 2] - heights[2, 2] < 0.1
    assert best.get_zorder() > other.get_zorder() > failed.get_zorder()
    assert best.get_linewidth() > other.get_linewidth()
    assert best.get_color() != other.get_color()
    assert scale.get_ylabel() == "accuracy"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["the best: 0.9000", "failed: 1"]


def test_parallel_coordinates_take_a_single_trial_and_far_outliers():
    figure = parallel_figure([ParallelAxis("rate", [0.1], "log")], [0.9], "accuracy", "one")
    assert [len(line.get_ydata()) for line in figure.axes[0].lines] == [2]
    scores = [0.99, 0.98, 0.97, 0.96, 0.1]
    figure = parallel_figure([ParallelAxis("rate", [1.0, 2, 3, 4, 5], "linear")], scores, "accuracy", "five")
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert len(set(colours)) == 5
    assert colours[3] != colours[4]
    low, high = figure.axes[-1].get_ylim()
    assert 0.9 < low < 0.96 < high
