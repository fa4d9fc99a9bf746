"""The reproduction of the report: its quick form once, on the real data, and its pure parts."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from reproduction.boundaries import GRID, best_circle
from reproduction.fashion import FINAL, MODERN
from reproduction.findings import few_units_fail, many_units_fit, regularisation_flattens
from reproduction.gradients import agreement
from reproduction.inspection import most_confidently_wrong
from reproduction.page import duration, write_page
from reproduction.reference import INDEPENDENT_ACCURACY
from reproduction.results import prepare_folder, write_results
from xpmlp import InputError
from xpmlp.experiments.experiment import check_circles, load_splits
from xpmlp.experiments.options import CIRCLES, Options

SCRIPT = Path(__file__).parent.parent / "scripts" / "reproduce_report.py"
RUNS = ("final", "final-all-images", "modern-seed-0", "modern-seed-1")


def run(folder, *arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own script


class Page(HTMLParser):
    """What a page refers to: its pictures, its links and every other address."""

    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.ids, self.others = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "img":
            self.images.append(values)
        elif tag == "a":
            self.links.append(values["href"])
        else:
            self.others += [values[name] for name in ("src", "href", "srcset", "data") if name in values]


@pytest.fixture(scope="module")
def report(data_dir, tmp_path_factory, pytestconfig):
    """The folder of one quick run; only where NumPy is among the backends asked for, since one run is enough."""
    if "numpy" not in pytestconfig.backends:
        pytest.skip("runs on numpy, which is not asked for")
    folder = tmp_path_factory.mktemp("reproduction")
    done = run(folder, "--quick", "--data-dir", data_dir.absolute(), "--out", "report")
    assert done.returncode == 0, done.stderr
    assert "decision boundaries: " in done.stderr
    return folder / "report"


@pytest.fixture(scope="module")
def results(report):
    return json.loads((report / "results.json").read_text())


@pytest.fixture(scope="module")
def text(report):
    return (report / "index.html").read_text()


def pictures_of(value):
    """Every picture that the results name, wherever it stands."""
    if isinstance(value, dict):
        if set(value) == {"file", "alt"}:
            yield value
        else:
            for item in value.values():
                yield from pictures_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from pictures_of(item)


def test_every_picture_is_there_and_embedded_with_its_description(report, results, text):
    pictures = list(pictures_of(results))
    written = {str(path.relative_to(report)) for path in [*report.glob("figures/*"), *report.glob("boundaries/*")]}
    assert {picture["file"] for picture in pictures} == written
    assert len(written) == 18 + len(results["boundaries"]["models"])
    images = Page(text).images
    assert {image["alt"] for image in images} == {picture["alt"] for picture in pictures}
    assert len(images) == len(pictures)
    assert all(image["alt"] for image in images)
    for image in images:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_the_page_needs_nothing_else_and_its_contents_lead_to_its_sections(text):
    page = Page(text)
    assert page.others == []
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "<script" not in text
    assert len(text) < 8e6


def test_the_page_says_that_it_is_a_quick_run(results, text):
    assert results["quick"] is True
    assert text.index("This is a quick run.") < text.index('id="beside"')


def test_the_figures_are_in_the_order_of_the_report(text):
    numbers = [int(number) for number in re.findall(r"<strong>Figures? (\d+)", text)]
    assert len(numbers) > 5
    assert numbers == sorted(numbers)


def test_the_table_of_the_boundaries_has_the_models_of_the_results(report, results, text):
    with (report / "boundaries.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    models = results["boundaries"]["models"]
    cells = {(row["hidden"], row["l1"], row["l2"]) for row in rows}
    assert cells == {(hidden, strength, strength) for hidden in ("5", "100") for strength in ("0.0", "0.01")}
    for row, model in zip(rows, models, strict=True):
        assert float(row["train_accuracy"]) == model["train_accuracy"]
        assert float(row["spread"]) == model["spread"]
    for finding in results["boundaries"]["findings"]:
        assert all(line in text for line in finding["numbers"])


def test_the_findings_are_judged_but_not_by_a_quick_run(report, results, text, tmp_path):
    folder = shutil.copytree(report, tmp_path / "whole")
    whole = write_page(folder, results | {"quick": False}).read_text()
    for finding in results["boundaries"]["findings"]:
        assert f">{finding['verdict']}</span>" in whole
        assert f">{finding['verdict']}</span>" not in text
    assert text.count(">not judged<") == 2 * len(results["boundaries"]["findings"])


def test_the_page_shows_the_numbers_that_were_measured(results, text):
    fashion, speed = results["fashion"], results["speed"]
    assert f"{speed['ratio']:.1f} times as fast" in text
    assert f"{fashion['final_all_images']['scores']['test']['accuracy']:.4f}" in text
    assert f"{fashion['modern']['mean_test_accuracy']:.4f}" in text
    tests = [entry["scores"]["test"]["accuracy"] for entry in fashion["modern"]["runs"]]
    assert fashion["modern"]["mean_test_accuracy"] == pytest.approx(sum(tests) / len(tests))
    for check in results["gradients"]["checks"]:
        assert check["passed"]
        assert check["report_passed"]
        assert f"worst relative error {check['worst_error']:.1e} at {check['worst_error_at']}" in text
    for name in ("command", "started"):
        assert results[name] in text
    assert results["machine"]["processor"] in text


def test_every_run_has_a_log_with_a_line_for_each_epoch_and_a_model_that_the_results_speak_of(report, results):
    for name in RUNS:
        folder = report / "runs" / name
        epochs = json.loads((folder / "config.json").read_text())["options"]["epochs"]
        lines = (folder / "train.log").read_text().splitlines()
        assert sum("epoch " in line and f"/{epochs}:" in line for line in lines) == epochs
        with (folder / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == epochs
        assert (folder / "model.safetensors").exists()
        if name == "final":
            told = results["fashion"]["final"]["scores"]["test"]["accuracy"]
            assert float(rows[-1]["test_accuracy"]) == pytest.approx(told, abs=1e-6)
            assert results["inspection"][0]["test_accuracy"] == pytest.approx(told, abs=1e-6)


def test_the_confusion_matrix_counts_every_test_image_and_the_wrong_ones_are_wrong(results):
    for model in results["inspection"]:
        matrix = np.array(model["confusion"])
        assert matrix.sum() == 10_000
        assert np.trace(matrix) / 10_000 == pytest.approx(model["test_accuracy"])
        confidence = [entry["probability"] for entry in model["wrong"]]
        assert confidence == sorted(confidence, reverse=True)
        assert all(entry["true"] != entry["predicted"] for entry in model["wrong"])


def test_the_first_epochs_are_those_of_the_independent_run(results):
    (first, *_) = results["fashion"]["epochs"]
    assert first["epoch"] == 1
    assert first["all_images"] == pytest.approx(INDEPENDENT_ACCURACY[1], abs=0.08)  # another seed


def test_a_backend_that_is_not_there_is_one_message_with_exit_code_2(tmp_path):
    done = run(tmp_path, "--backend", "mxnet")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "'mxnet'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        prepare_folder(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_report_is_replaced_only_when_asked(tmp_path):
    prepare_folder(tmp_path / "report", overwrite=False)
    stale = tmp_path / "report" / "index.html"
    stale.write_text("old")
    with pytest.raises(InputError, match="--overwrite"):
        prepare_folder(tmp_path / "report", overwrite=False)
    assert stale.exists()
    prepare_folder(tmp_path / "report", overwrite=True)
    assert not stale.exists()


def rows(**measured):
    """A model for each cell of the grid; each measure from a function of the cell, or the same for all."""
    names = ("hidden", "learning_rate", "l1", "l2", "epochs")
    cells = [dict(zip(names, cell, strict=True)) for cell in GRID]
    return [
        cell | {name: value(cell) if callable(value) else value for name, value in measured.items()} for cell in cells
    ]


def test_the_grid_is_the_reports():
    assert len(set(GRID)) == len(GRID) == 32


def test_few_units_fail_where_none_of_them_learns_the_circle():
    assert few_units_fail(rows(train_accuracy=0.7)).verdict == "seen"
    assert few_units_fail(rows(train_accuracy=0.99)).verdict == "not seen"
    finding = few_units_fail(rows(train_accuracy=lambda cell: 0.99 if cell["learning_rate"] == 5e-2 else 0.7))
    assert finding.verdict == "partly seen"
    assert len(finding.numbers) == len(finding.models) == 4
    assert all(GRID[number][0] == 5 and GRID[number][2:4] == (0.0, 0.0) for number in finding.models)
    assert finding.remark.startswith("2 of 4 learn the circle")
    assert "least training" in finding.remark


def test_regularisation_flattens_where_the_probabilities_spread_less_than_half_as_much():
    strong = {"train_accuracy": 0.5, "spread": lambda cell: 0.1 if cell["l1"] and cell["l2"] else 0.3}
    assert regularisation_flattens(rows(**strong)).verdict == "seen"
    assert regularisation_flattens(rows(train_accuracy=0.5, spread=0.3)).verdict == "not seen"
    some = {"train_accuracy": 0.5, "spread": lambda c: 0.1 if c["l1"] and c["l2"] and c["epochs"] == 100 else 0.3}
    finding = regularisation_flattens(rows(**some))
    assert finding.verdict == "partly seen"
    assert len(finding.numbers) == 8
    assert finding.remark.startswith("4 of 8 are flattened less")


def test_many_units_fit_only_where_nothing_is_wrong():
    circle = {"errors": 4, "accuracy": 0.995}
    assert many_units_fit(rows(train_accuracy=1.0, train_errors=0), circle).verdict == "seen"
    finding = many_units_fit(rows(train_accuracy=0.995, train_errors=4), circle)
    assert finding.verdict == "not seen"
    assert "4 examples on its wrong side" in finding.remark


def test_the_best_circle_separates_what_a_circle_can():
    X = np.array([[0.1, 0.0], [0.0, 0.2], [1.0, 0.0], [0.0, -1.1], [0.0, 0.9]])
    assert best_circle(X, np.array([1, 1, 0, 0, 0]))["errors"] == 0
    assert best_circle(X, np.array([1, 1, 0, 1, 0]))["errors"] == 1


def test_the_rings_of_the_circles_overlap_so_that_no_circle_fits_them():
    _, parts = load_splits(Options(dataset="circles", validation=0.0))
    assert best_circle(*parts.train)["errors"] > 0


def test_the_most_confidently_wrong_come_first_and_the_right_ones_never():
    probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3], [0.05, 0.95]])
    y = np.array([0, 0, 0, 1, 0])
    assert most_confidently_wrong(probability, y, 3).tolist() == [4, 1, 3]
    assert most_confidently_wrong(probability, y, 10).tolist() == [4, 1, 3, 2]
    assert most_confidently_wrong(probability[:1], y[:1], 10).tolist() == []


def test_loop_and_matrix_agree_to_the_digits_that_are_said(backend):
    loop, matrix = (check_circles(backend, replace(CIRCLES, mode=mode)) for mode in ("loop", "matrix"))
    said = agreement(loop, matrix)
    assert said["digits"] is None or said["digits"] >= 14
    assert agreement(loop, loop) == {"difference": 0.0, "digits": None}


def test_the_configurations_are_those_that_the_page_speaks_of():
    assert (FINAL.epochs, FINAL.batch_size, FINAL.l1, FINAL.l2, FINAL.hidden) == (100, 256, (0.0,), (0.001,), (50,))
    assert (FINAL.learning_rate, FINAL.optimizer, FINAL.momentum, FINAL.init) == (0.001, "sgd", None, "report")
    assert MODERN.epochs <= 40


@pytest.mark.parametrize(("seconds", "said"), [(0.04, "0.0 s"), (75.25, "75.2 s"), (185.0, "3 min 5 s")])
def test_times_are_said_in_words(seconds, said):
    assert duration(seconds) == said


def test_the_modern_configuration_is_the_one_that_was_chosen_on_the_validation_part():
    choice = json.loads((SCRIPT.parent.parent / "benchmarks" / "modern-choice.json").read_text())
    best = max(choice["results"], key=lambda result: result["validation_accuracy"])
    assert choice["chosen"] == best
    wanted = choice["common"] | best["changes"]
    made = json.loads(json.dumps(MODERN.to_json()))
    assert {name: made[name] for name in wanted} == wanted


def test_numbers_that_are_not_finite_are_null_in_the_results(tmp_path):
    write_results(tmp_path, {"ratio": float("inf"), "errors": [float("nan"), 1.0], "nested": {"x": (2, -float("inf"))}})
    read = json.loads((tmp_path / "results.json").read_text())
    assert read == {"ratio": None, "errors": [None, 1.0], "nested": {"x": [2, None]}}
