"""Figures: what is in them."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import open_backend
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from xpmlp import GradientCheck, InputError, Record, XpmlpWarning
from xpmlp.experiments.experiment import check_circles, prepare
from xpmlp.experiments.options import Options
from xpmlp.plots import (
    ParallelAxis,
    Regions,
    _fonts,
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
from xpmlp.training.scoring import Score

CAT = "\u732b"  # in Chinese and Japanese


@pytest.fixture
def fonts(monkeypatch):
    """What fonts are installed: none, until a test adds the path of one. matplotlib's own lack a cat."""
    installed = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: installed)
    monkeypatch.setattr(font_manager, "fontManager", deepcopy(font_manager.fontManager))
    monkeypatch.setattr(_fonts, "_said", set())
    _fonts._fallbacks.cache_clear()
    yield installed
    _fonts._fallbacks.cache_clear()


def font_of_a_cat(folder):
    """Make a font of one character, a square."""
    pen = TTGlyphPen(None)
    for move, *points in (("moveTo", (100, 0)), ("lineTo", (100, 700)), ("lineTo", (800, 700)), ("lineTo", (800, 0))):
        getattr(pen, move)(*points)
    pen.closePath()
    square = pen.glyph()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "cat"])
    font.setupCharacterMap({ord(CAT): "cat"})
    font.setupGlyf({".notdef": square, "cat": square})
    font.setupHorizontalMetrics({".notdef": (900, 0), "cat": (900, 100)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Xpmlp Cat", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(folder / "cat.ttf")
    return str(folder / "cat.ttf")


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_names_in_any_script_are_drawn_in_an_installed_font_that_has_them(fonts, tmp_path, ending):
    fonts += [str(tmp_path / "damaged.ttf"), font_of_a_cat(tmp_path)]
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    figure = confusion_figure(np.eye(2, dtype=int), [CAT, "dog"], f"{CAT} and dog")
    save_figure(figure, tmp_path / f"figure.{ending}")  # without a warning, which would be an error here
    texts = {text.get_text(): text.get_fontfamily() for text in figure.findobj(Text)}
    assert texts[CAT][-1] == "Xpmlp Cat"
    assert len(texts[CAT]) > 1


def test_what_no_installed_font_has_is_said_once_and_in_our_words(fonts, tmp_path):
    figure = confusion_figure(np.eye(2, dtype=int), [CAT, "dog"], "cats and dogs")
    with pytest.warns(XpmlpWarning, match=f"no installed font has '{CAT}'.* install a font that") as said:
        save_figure(figure, tmp_path / "figure.png")
    assert len(said) == 1
    save_figure(confusion_figure(np.eye(2, dtype=int), [CAT, "dog"], "again"), tmp_path / "other.png")


def test_names_that_every_font_has_ask_for_none(fonts, tmp_path, monkeypatch):
    monkeypatch.setattr(font_manager, "findSystemFonts", None)  # which takes a second
    save_figure(confusion_figure(np.eye(2, dtype=int), ["caf\u00e9", "\u03b1"], "a\nb"), tmp_path / "figure.png")


def drawn(figure):
    """Draw a figure, so that its artists have places, and check that nothing sticks out of it."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    reach = figure.get_tightbbox(renderer)
    width, height = figure.get_size_inches()
    assert min(reach.x0, reach.y0, width - reach.x1, height - reach.y1) >= -0.01
    return figure


def overlapping(artists):
    """Say how many neighbours in a row or a column cover each other."""
    boxes = [artist.get_window_extent() for artist in artists]
    return sum(one.overlaps(other) for one, other in pairwise(boxes))


def records(losses, parts=("train", "validation", "test")):
    """Make up records of as many epochs as there are losses."""
    scores = [{part: Score(loss, 0.9) for part in parts} for loss in losses]
    return [Record(epoch, 0.0, 1, 1.0, 0.1, 0.1, each, [], None, True) for epoch, each in enumerate(scores, start=1)]


def shown_names(labels):
    return [label.get_text() for label in labels]


def test_curves_show_every_part_in_loss_and_accuracy_with_axes_named():
    records = list(prepare(Options(dataset="circles", hidden=(4,), epochs=3)).records())
    figure = curves_figure(records, "the title")
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "mean negative log-likelihood\n(nats, linear axis)"
    assert accuracy.get_ylabel() == "accuracy"
    assert [line.get_label().split()[0] for line in loss.lines] == ["train", "validation", "test"]
    assert len({line.get_color() for line in loss.lines}) == len({line.get_linestyle() for line in loss.lines}) == 3
    np.testing.assert_allclose(accuracy.lines[2].get_ydata(), [r.scores["test"].accuracy for r in records])


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([2.0, 0.5, 0.021], "linear"), ([2.0, 0.5, 0.019], "log"), ([2.0, 0.0], "linear"), ([2.0, 0.01, 0.0], "log")],
)
def test_losses_over_two_decades_have_a_log_axis_that_says_so(losses, scale):
    for figure in (curves_figure(records(losses), "t"), comparison_figure({"a": records(losses)}, "t")):
        loss, accuracy = figure.axes
        assert (loss.get_yscale(), accuracy.get_yscale()) == (scale, "linear")
        assert f"{scale} axis" in loss.get_ylabel()


@pytest.mark.parametrize(("epochs", "ticks"), [(1, [1]), (3, [1, 2, 3]), (72, [1, 10, 20, 30, 40, 50, 60, 70])])
def test_epochs_count_from_one(epochs, ticks):
    for axes in curves_figure(records([1.0] * epochs), "t").axes:
        np.testing.assert_array_equal(axes.get_xticks(), ticks)
        low, high = axes.get_xlim()
        assert 0 < low < 1
        assert epochs < high < epochs + 1


def test_legends_cover_no_data_and_long_titles_are_broken_into_lines():
    title = "my-data: " + "-".join(["784"] * 60) + ", adam at 0.003, K = 64, numpy on cpu in float32"
    figure = drawn(curves_figure(records([2.0, 1e-7]), title))
    for axes in figure.axes:
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1
        assert axes.get_window_extent().height > 250
    assert overlapping([axes.get_legend() for axes in figure.axes]) == 0
    assert "".join(figure.get_suptitle().split()) == "".join(title.split())
    assert figure.get_suptitle().count("\n") > 1
    drawn(comparison_figure({name: records([1.0]) for name in "abcd"}, "four runs"))


def test_the_confusion_matrix_shows_counts_and_class_names():
    figure = drawn(confusion_figure(np.array([[3, 1], [0, 4]]), ["cat", "dog"], "title"))
    axes, scale = figure.axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "3", (1, 0): "1", (1, 1): "4"}
    assert shown_names(axes.get_yticklabels()) == shown_names(axes.get_xticklabels()) == ["cat", "dog"]
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {0.0}
    assert scale.get_ylabel() == "share of the true class (white: none)"


def contrast(one, other):
    """Compute the contrast ratio of two colours by the WCAG 2.2."""
    low, high = sorted(
        float(
            np.dot([0.2126, 0.7152, 0.0722], [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb])
        )
        for rgb in (one[:3], other[:3])
    )
    return (high + 0.05) / (low + 0.05)


def test_single_mistakes_stand_out_from_empty_cells_and_numbers_from_all_cells():
    matrix = np.diag([6000] * 10)
    matrix[2, 5] = 1
    axes, _ = confusion_figure(matrix, list("0123456789"), "t").axes
    (image,) = axes.images
    colours = image.cmap(image.norm(image.get_array()))
    white, black = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    assert colours[2, 4, 3] == 0.0  # transparent, on white
    assert axes.get_facecolor() == (*white, 1.0)
    assert contrast(colours[2, 5], white) > 1.2
    assert contrast(colours[2, 2], colours[2, 5]) > 1.8
    assert all(text.get_color() == "black" for text in axes.texts)
    assert min(contrast(colour, black) for colour in image.cmap(np.linspace(0, 1, 20))) > 4.5


def test_many_classes_with_long_names_and_large_numbers_stay_apart():
    names = [f"a class with a name as long as ${number}$ words are" for number in range(35)]
    matrix = np.zeros((35, 35), dtype=int)
    matrix[:2] = 12_345_678
    figure = drawn(confusion_figure(matrix, names, "t"))
    axes, _ = figure.axes
    assert shown_names(axes.get_yticklabels())[3] == r"a class with a…\$3\$ words are"  # no mathematics
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {90.0}
    for labels in (axes.get_xticklabels(), axes.get_yticklabels(), axes.texts):
        assert len(labels) in {35, 2 * 35}
        assert overlapping(labels) == 0


@pytest.mark.parametrize(("n", "step"), [(100, 1), (101, 2)])
def test_more_classes_have_no_numbers_and_beyond_a_hundred_not_all_have_names(n, step):
    figure = drawn(confusion_figure(np.eye(n, dtype=int), [f"class {number}" for number in range(n)], "t"))
    axes, _ = figure.axes
    assert not axes.texts
    assert shown_names(axes.get_xticklabels()) == [f"class {number}" for number in range(0, n, step)]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert overlapping(labels) == 0


@pytest.fixture(scope="module")
def check():
    return check_circles(open_backend("numpy"))


def test_the_gradient_figure_has_a_row_for_every_parameter_and_names_the_worst(check):
    figure = drawn(gradient_figure(check, "circles"))
    left, right = figure.axes
    assert shown_names(left.get_yticklabels()) == [parameter.name for parameter in check.parameters]
    assert overlapping(left.get_yticklabels()) == 0
    low, high = left.get_ylim()
    assert low > high  # the first parameter is on top
    assert check.worst.name in figure.get_suptitle()
    assert check.worst_ratio.name in figure.get_suptitle()
    rows = range(len(check.parameters))
    bprop, forward = (points.get_offsets() for points in left.collections)
    np.testing.assert_allclose(bprop, [*zip([p.bprop for p in check.parameters], rows, strict=True)])
    np.testing.assert_allclose(forward, [*zip([p.forward for p in check.parameters], rows, strict=True)])
    errors, ratios = (points.get_offsets() for points in right.collections)
    np.testing.assert_allclose(errors[:, 0], [p.error for p in check.parameters])
    np.testing.assert_allclose(ratios[:, 0], [p.ratio_error for p in check.parameters])
    bars = [line.get_xdata()[0] for line in right.lines]
    assert bars[:2] == pytest.approx([check.tolerance, 0.01])
    for axes in figure.axes:
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1


def test_an_error_of_zero_has_a_place_of_its_own_and_an_infinite_one_is_said(check):
    exact, wrong, *others = check.parameters
    exact = replace(exact, error=0.0, ratio=1.0)
    wrong = replace(wrong, bprop=math.nan, error=math.inf, ratio=math.nan)
    left, right = drawn(gradient_figure(GradientCheck((exact, wrong, *others), check.tolerance), "t")).axes
    assert [text.get_text() for text in left.texts] == ["not finite, or beyond 1e+100"]
    assert [len(points.get_offsets()) for points in left.collections] == [len(check.parameters) - 1] * 2
    places = [points.get_offsets()[:2, 0].tolist() for points in right.collections]
    assert places == [[0.0, 10.0], [0.0, 10.0]]
    named = dict(zip(right.get_xticks().tolist(), shown_names(right.get_xticklabels()), strict=True))
    assert named[0.0] == "0"
    assert named[10.0] == r"$\geq 10$"
    assert "linear from 1e-16 down to 0" in right.get_xlabel()
    assert right.transData.transform((1e-16, 0))[0] - right.transData.transform((0, 0))[0] > 20  # pixels
    assert overlapping(right.get_xticklabels()) == 0


def test_many_parameters_are_numbered(check):
    figure = drawn(gradient_figure(GradientCheck(check.parameters * 10, check.tolerance), "t"))
    left, right = figure.axes
    assert left.get_ylabel() == "parameter number, from 0"
    assert len(right.collections[0].get_offsets()) == 10 * len(check.parameters)


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


def test_losses_below_zero_are_on_a_linear_axis():
    left, _ = curves_figure(records([50.0, 0.1, -1.5]), "t").axes
    assert left.get_yscale() == "linear"


def test_the_curves_mark_the_epoch_that_is_kept_and_quote_its_values():
    records = list(prepare(Options("circles", hidden=(4,), epochs=200, patience=1, learning_rate=0.3)).records())
    kept = records[-1].best
    assert kept.epoch < len(records)
    values = f"{kept.scores['test'].loss:.4g}", f"{kept.scores['test'].accuracy:.4f}"
    for axes, value in zip(curves_figure(records, "t").axes, values, strict=True):
        *_, mark = axes.lines
        assert list(mark.get_xdata()) == [kept.epoch] * 2
        legend = axes.get_legend()
        assert legend.get_title().get_text() == f"epoch {kept.epoch}, which is kept, in brackets"
        assert legend.get_texts()[-1].get_text() == f"test ({value})"


def test_decision_regions_show_probabilities_boundary_and_every_point():
    extent = -2.0, 2.0, -1.0, 3.0
    second = (plane_grid(extent, 21)[:, 0] > 0).astype(float).reshape(21, 21)
    probabilities = np.stack([1.0 - second, second], axis=-1)
    X = np.array([[-1.0, 0.0], [-1.0, 1.0], [1.0, 0.0]])
    parts = {"train": (X, np.array([0, 0, 1])), "test": (X[:1], np.array([0]))}
    panels = [Regions("first", probabilities, extent, parts), Regions("flat", 0.5 + 0 * probabilities, extent, parts)]
    first, flat, scale = (figure := regions_figure(panels, "")).axes
    assert (first.get_title(), flat.get_title(), scale.get_ylabel()) == ("first", "flat", "probability of class 1")
    assert (first.get_xlim(), first.get_ylim()) == (extent[:2], extent[2:])
    image = first.images[0].get_array()
    np.testing.assert_allclose(image[:, 0], np.tile(to_rgb("#0072B2"), (21, 1)))  # on the left, whatever x1 is
    np.testing.assert_allclose(image[:, -1], np.tile(to_rgb("#D55E00"), (21, 1)))
    np.testing.assert_array_equal(flat.images[0].get_array(), 1.0)  # white: as probable
    shown = [len(points.get_offsets()) for points in first.collections if len(points.get_offsets())]
    assert sorted(shown)[-3:] == [1, 1, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "class 0, train",
        "class 1, train",
        "class 0, test",
        "class 1, test",
        "probability one half",
    ]


def test_decision_regions_of_several_classes_are_in_their_colours_with_names_and_no_scale():
    grid = plane_grid((0.0, 3.0, 0.0, 1.0), 31)
    probabilities = np.eye(3)[grid[:, 0].astype(int).clip(0, 2)].reshape(31, 31, 3)
    parts = {"test": (np.array([[0.5, 0.5], [2.5, 0.5]]), np.array([0, 2]))}
    panel = Regions("", probabilities, (0.0, 3.0, 0.0, 1.0), parts)
    figure = regions_figure([panel], "", features=("length", "width"), classes=("one", "two", "three"))
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("length", "width")
    colours = np.unique(axes.images[0].get_array().reshape(-1, 3), axis=0)
    np.testing.assert_allclose(colours, sorted(map(to_rgb, ("#0072B2", "#D55E00", "#009E73"))))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["one, test", "two, test", "three, test", "boundary"]


def test_the_points_of_the_plane_are_row_by_row_from_below():
    np.testing.assert_array_equal(plane_grid((-1.0, 1.0, 0.0, 3.0), 2), [[-1, 0], [1, 0], [-1, 3], [1, 3]])


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


def parallel_axes(n, names=("rate", "units", "activation"), choices=("relu", "tanh")):
    """Make up axes that a number of lines cross, one of each scale."""
    rate, units, activation = names
    return [
        ParallelAxis(rate, [0.1 / (1 + number) for number in range(n)], "log"),
        ParallelAxis(units, [8.0 + 28.0 * (number % 3) for number in range(n)], "linear"),
        ParallelAxis(activation, [choices[number % len(choices)] for number in range(n)], "choice", choices),
    ]


def test_parallel_coordinates_show_each_trial_at_its_values_the_best_one_in_front():
    axes = [
        ParallelAxis("rate", [0.1, 0.01, 0.001], "log"),
        ParallelAxis("units", [8.0, 64.0, 36.0], "linear"),
        ParallelAxis("activation", ["tanh", "relu", "tanh"], "choice", ["relu", "tanh"]),
    ]
    figure = drawn(parallel_figure(axes, [0.9, 0.8, None], "accuracy", "the title"))
    host, rate, units, activation, _ = figure.axes
    assert shown_names(host.get_xticklabels()) == ["rate", "units", "activation", "accuracy"]
    assert (rate.get_yscale(), units.get_yscale()) == ("log", "linear")
    assert shown_names(activation.get_yticklabels()) == ["relu", "tanh"]
    best, other, failed, _ = host.lines
    heights = np.array([best.get_ydata()[:3], other.get_ydata()[:3], failed.get_ydata()])
    assert heights[0, 0] - heights[1, 0] == pytest.approx(heights[1, 0] - heights[2, 0])  # a decade each
    assert heights[1, 1] - heights[2, 1] == pytest.approx(heights[2, 1] - heights[0, 1])
    assert heights[1, 2] < heights[2, 2] < heights[0, 2]  # those of one value are spread, the better one above
    assert heights[0, 2] - heights[2, 2] < 0.1
    assert best.get_zorder() > failed.get_zorder() > other.get_zorder()
    assert best.get_linewidth() > other.get_linewidth()
    assert best.get_color() != other.get_color()
    assert (failed.get_marker(), failed.get_linestyle()) == ("x", ":")
    (legend,) = figure.legends
    assert shown_names(legend.get_texts()) == ["the best: 0.9000", "failed: 1"]


def test_parallel_coordinates_take_a_single_trial_and_values_that_are_all_the_same():
    axes = [ParallelAxis("rate", [0.123], "log"), ParallelAxis("momentum", [0.9], "linear")]
    figure = drawn(parallel_figure(axes, [0.9], "accuracy", "one"))
    host, rate, momentum, last = figure.axes
    assert [len(line.get_ydata()) for line in host.lines] == [3]
    assert [shown_names(place.get_yticklabels()) for place in (rate, momentum, last)] == [["0.123"], ["0.9"], ["0.9"]]


def test_a_score_far_below_the_others_is_at_the_foot_of_the_axis_and_the_legend_says_so():
    scores = [0.99, 0.98, 0.97, 0.96, 0.1]
    figure = parallel_figure([ParallelAxis("rate", [1.0, 2, 3, 4, 5], "linear")], scores, "accuracy", "five")
    host, _, last = figure.axes
    lines = host.lines[:5]
    assert len({line.get_color() for line in lines}) == 5
    low, high = last.get_ylim()
    assert "the darker, the better its accuracy" in " ".join(figure.get_suptitle().split())
    assert 0.9 < low < 0.93
    assert 0.99 < high < 1.0
    ends = [line.get_ydata()[-1] for line in lines]
    assert ends == sorted(ends, reverse=True)
    assert 0.0 < ends[-1] < 0.1
    assert shown_names(figure.legends[0].get_texts())[-1] == "1 trial below 0.9300, drawn at the foot of the last axis"


def test_of_losses_the_lowest_is_the_best_above_and_dark():
    scores = [0.1, 0.2, 0.3, 0.4, 9.0]
    axes = [ParallelAxis("rate", [1.0, 2, 3, 4, 5], "linear")]
    host, _, last = parallel_figure(axes, scores, "loss", "five", lower_is_better=True).axes
    mirrored = parallel_figure(axes, [-score for score in scores], "R2", "five")
    ends = [line.get_ydata()[-1] for line in host.lines[:5]]
    assert ends == sorted(ends, reverse=True)
    assert 0.0 < ends[-1] < 0.1
    bottom, top = last.get_ylim()
    assert top < scores[0]
    assert scores[3] < bottom < scores[4]
    colours = [[line.get_color() for line in figure.lines[:5]] for figure in (host, mirrored.axes[0])]
    assert colours[0] == colours[1]
    assert "1 trial above 0.7000, drawn at the foot of the last axis" in shown_names(host.figure.legends[0].get_texts())


def test_many_trials_have_thinner_lines_than_few_and_none_is_too_light_to_be_seen():
    widths = []
    for n in (20, 200):
        scores = [1.0 - 0.001 * number for number in range(n)]
        lines = parallel_figure(parallel_axes(n), scores, "accuracy", "t").axes[0].lines
        widths.append(lines[-1].get_linewidth())
        assert min(contrast(line.get_color(), (1.0, 1.0, 1.0)) for line in lines) > 1.7
    assert widths[0] > widths[1]


def test_long_names_of_options_and_choices_stay_apart():
    names = ("learning rate schedule", "input dropout of layers", "activation of the hidden layers")
    choices = [f"relu,tanh,gelu,softplus,leaky_relu,{number}" for number in range(3)]
    figure = drawn(parallel_figure(parallel_axes(20, names, choices), [0.9] * 20, "validation accuracy", "title " * 40))
    host, *places, last = figure.axes
    assert overlapping(host.get_xticklabels()) == 0
    positions = host.transData.transform([(number, 0.0) for number in range(4)])[:, 0]
    for place, end in zip(places, positions[1:], strict=True):
        assert max(label.get_window_extent().x1 for label in place.get_yticklabels()) < end
    assert max(label.get_window_extent().x1 for label in last.get_yticklabels()) < figure.bbox.x1


def test_a_log_axis_of_less_than_a_decade_has_numbers():
    axes = [ParallelAxis("rate", [0.11, 0.12, 0.13], "log")]
    ticks = parallel_figure(axes, [0.9, 0.8, 0.7], "accuracy", "t").axes[1].get_yticks()
    assert ((ticks >= 0.11) & (ticks <= 0.13)).sum() >= 3
