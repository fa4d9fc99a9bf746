"""Figures: what is in them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import open_backend

from xpmlp import InputError
from xpmlp.experiments import check_circles, prepare
from xpmlp.options import Options
from xpmlp.plots import confusion_figure, curves_figure, gradient_figure, save_figure


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
