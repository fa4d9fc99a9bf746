"""Many runs: their list, and some of them side by side."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from xpmlp import InputError
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.overview import compare_runs, entry_of, list_runs
from xpmlp.experiments.runs import RunFolder
from xpmlp.plots import MAX_COMPARED, comparison_figure
from xpmlp.search import SearchFolder, entry_of_search

PAGE = (Path(__file__).parent.parent / "docs" / "runs.md").read_text(encoding="utf-8")
READERS = {SearchFolder: entry_of_search, RunFolder: entry_of}
TABLE = "a,b,y\n" + "".join(f"{n},{n * n % 7},{3 * n + n * n % 7}.5\n" for n in range(100))


def train(path, *, until=None, **options):
    """Leave a run on the circles, or what there is of it after so many epochs."""
    folder, experiment = (
        RunFolder(path),
        prepare(Options(**{"dataset": "circles", "hidden": (4,), "epochs": 3} | options)),
    )
    folder.start(experiment)
    for record in experiment.records():
        folder.add(record)
        if record.epoch == until:
            return folder
    folder.save(experiment.trained(record.selected.layers))
    folder.finish()
    return folder


def entries_of(root):
    return {entry.folder.removeprefix(f"{root}/"): entry for entry in list_runs(root, READERS)}


def test_runs_are_listed_with_data_network_scores_and_how_far_they_are(tmp_path):
    whole = train(tmp_path / "of" / "whole")
    train(tmp_path / "cut", until=2)
    failed = train(tmp_path / "failed", until=1)
    failed.write_log("failed: training diverged in epoch 2")
    failed.write_log("weights of epoch 1, which has the best validation loss")
    running = train(tmp_path / "running", until=1)
    with running.locked():
        found = entries_of(tmp_path)
    assert {name: entry.state for name, entry in found.items()} == {
        "cut": "interrupted",
        "failed": "failed",
        "of/whole": "complete",
        "running": "running",
    }
    entry, rows = found["of/whole"], whole.rows()
    assert (entry.data, entry.network, entry.score) == ("circles", "2-4-2", "validation accuracy")
    best = min(rows, key=lambda row: row["validation_loss"])
    assert entry.best == (best["epoch"], best["validation_accuracy"])
    assert entry.last == (3, rows[-1]["validation_accuracy"])
    assert found["cut"].last[0] == 2


def test_what_cannot_be_read_is_a_line_that_says_so(tmp_path):
    for name in ("no-configuration", "no-json", "no-numbers"):
        train(tmp_path / name)
    (tmp_path / "no-configuration" / "config.json").unlink()
    (tmp_path / "no-json" / "config.json").write_text("{")
    metrics = tmp_path / "no-numbers" / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("\n1,", "\none,"))
    search = SearchFolder(tmp_path / "search")
    search.write_config({"options": {}})
    found = entries_of(tmp_path)
    assert {entry.state for entry in found.values()} == {"broken"}
    expected = {
        "no-configuration": "there is no ",
        "no-json": "damaged",
        "no-numbers": "cannot be read",
        "search": "lacks",
    }
    for name, words in expected.items():
        assert words in found[name].problem


def test_a_folder_without_permission_is_a_line_that_says_so(tmp_path, as_nobody):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.owner() == tmp_path.owner() and parent.name.startswith(("pytest", "popen")):
            parent.chmod(0o755)
    with as_nobody():
        (entry,) = list_runs(tmp_path, READERS)
    assert entry.state == "broken"
    assert "Permission denied" in entry.problem


def test_a_run_before_its_first_epoch_has_no_scores(tmp_path):
    experiment = prepare(Options("circles", hidden=(4,), epochs=2))
    RunFolder(tmp_path / "run").start(experiment)
    (entry,) = list_runs(tmp_path, READERS)
    assert (entry.state, entry.best, entry.last) == ("interrupted", None, None)


def test_ensembles_say_how_many_they_are_and_tables_have_the_score_of_their_test_part(tmp_path, write):
    train(tmp_path / "ensemble", members=3, validation=0.0)
    train(tmp_path / "table", dataset=write(TABLE))
    found = entries_of(tmp_path)
    assert found["ensemble"].network == "3 x 2-4-2"
    assert found["table"].score == "test r2"


def test_a_search_is_one_line_with_its_best_trial(cli, tmp_path):
    (tmp_path / "grid.toml").write_text("hidden = [[2], [4]]\n")
    arguments = ("--grid", "grid.toml", "--epochs", "2", "--engine", "sequential", "--out", "runs/search", "--quiet")
    assert cli("search", "circles", *arguments)[0] == 0
    found = entries_of(tmp_path / "runs")
    assert list(found) == ["search"]
    entry = found["search"]
    assert (entry.state, entry.data, entry.network) == ("complete", "circles", "2 candidates")
    row = RunFolder(tmp_path / "runs" / "search" / "best").rows()[-1]
    assert entry.best == (2, pytest.approx(row["validation_accuracy"], rel=1e-5))
    (tmp_path / "runs" / "search" / "best" / "model.safetensors").unlink()
    assert entries_of(tmp_path / "runs")["search"].state == "interrupted"


def test_the_list_is_printed_the_newest_first_or_in_another_order(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    for name, started, hidden in (("b-old", "2020-01-01", (3,)), ("a-new", "2026-01-01", (4,))):
        folder = train(tmp_path / "runs" / name, hidden=hidden)
        config = json.loads(folder.config.read_text())
        folder.config.write_text(json.dumps(config | {"started": f"{started}T00:00:00+00:00"}))
    (tmp_path / "runs" / "odd").mkdir()
    (tmp_path / "runs" / "odd" / "config.json").write_text("[]")
    code, out, err = cli("runs")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["a-new", "b-old", "odd"]
    assert "best and last validation accuracy" in out
    assert "runs/odd: runs/odd/config.json cannot be read" in err
    ordered = json.loads(cli("runs", "--sort", "folder", "--json")[1])
    assert [entry["folder"] for entry in ordered] == ["runs/a-new", "runs/b-old", "runs/odd"]
    values = [entry["best"][1] for entry in json.loads(cli("runs", "--sort", "score", "--json")[1]) if entry["best"]]
    assert values == sorted(values, reverse=True)
    code, _, err = cli("runs", "--sort", "size")
    assert (code, "must be one of: age, folder" in err) == (2, True)


def test_the_snippet_of_the_page_on_runs_works_as_it_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(tmp_path / "runs" / "wide", hidden=(6,), epochs=1)
    train(tmp_path / "runs" / "deep", hidden=(3, 3), epochs=1)
    exec(compile(*re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL), "runs.md", "exec"), {})  # noqa: S102 - our own
    assert (tmp_path / "wide-and-deep.pdf").read_bytes().startswith(b"%PDF")


def test_no_folder_is_an_error_and_no_runs_are_said(cli, tmp_path):
    code, _, err = cli("runs")
    assert (code, "there is no folder runs" in err) == (2, True)
    (tmp_path / "runs").mkdir()
    assert cli("runs") == (0, "", "There are no runs below runs.\n")


def test_what_differs_between_runs_is_set_side_by_side_with_the_scores_that_each_keeps(cli, tmp_path):
    one = train(tmp_path / "one", learning_rate=0.3, epochs=60, patience=1)
    other = train(tmp_path / "other", hidden=(5,))
    code, out, _ = cli("compare", "one", "other", "--json")
    assert code == 0
    first, second = json.loads(out)
    assert set(first["options"]) == {"hidden", "learning_rate", "epochs", "patience"}
    assert (first["options"]["hidden"], second["options"]["hidden"]) == ([4], [5])
    rows = one.rows()
    kept = rows[int(rows[-1]["best_epoch"]) - 1]
    assert kept["epoch"] < len(rows)
    assert (first["epoch"], first["epochs"]) == (kept["epoch"], len(rows))
    assert first["scores"]["test"] == {"loss": kept["test_loss"], "accuracy": kept["test_accuracy"]}
    assert second["scores"]["train"]["loss"] == other.rows()[-1]["train_loss"]
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_the_comparison_is_printed_and_its_figure_replaced_only_where_that_is_said(cli, tmp_path):
    for number in range(5):
        train(tmp_path / f"run{number}", seed=number)
    runs = [f"run{number}" for number in range(5)]
    (tmp_path / "five.png").touch()
    code, out, _ = cli("compare", *runs)
    assert code == 0
    assert out.count("│ seed") == out.count("│ epoch kept") == 2  # tables, of four runs and of one
    assert "activation" not in out
    code, _, err = cli("compare", *runs, "--out", "five.png")
    assert (code, "five.png exists" in err) == (2, True)
    assert cli("compare", *runs, "--out", "five.png", "--overwrite")[0] == 0
    (tmp_path / "compare.png").touch()
    assert cli("compare", *runs[:2])[0] == 0
    assert (tmp_path / "compare.png").stat().st_size > 0


def test_the_same_name_with_other_data_differs_by_the_datas_fingerprint(tmp_path, write):
    train(tmp_path / "one", dataset=write(TABLE))
    train(tmp_path / "other", dataset=write(TABLE.replace("\n1,", "\n2,")))
    one, other = compare_runs([tmp_path / "one", tmp_path / "other"])
    assert set(one.options) == {"data_sha256"}
    assert one.options != other.options


def test_runs_of_one_name_are_told_apart_by_their_paths_and_unfinished_ones_are_compared(tmp_path):
    train(tmp_path / "a" / "best")
    train(tmp_path / "b" / "best", until=1)
    one, other = compare_runs([tmp_path / "a" / "best", tmp_path / "b" / "best"])
    assert one.name == str(tmp_path / "a" / "best")
    assert (one.state, other.state) == ("complete", "interrupted")
    assert (one.kept.epoch, other.kept.epoch) == (3, 1)


def test_runs_that_cannot_be_compared_are_refused(tmp_path, write):
    one, table = train(tmp_path / "one").path, train(tmp_path / "table", dataset=write(TABLE)).path
    for paths in ([one], [one, one]):
        with pytest.raises(InputError, match="give two runs or more, each of them once"):
            compare_runs(paths)
    with pytest.raises(InputError, match="compare runs of one kind"):
        compare_runs([one, table])
    with pytest.raises(InputError, match=r"there is no .*config\.json"):
        compare_runs([one, tmp_path / "nowhere"])


def test_the_figure_has_the_curves_of_runs_of_different_length_and_marks_what_is_kept(tmp_path):
    train(tmp_path / "short", epochs=2)
    train(tmp_path / "long", epochs=60, patience=1, learning_rate=0.3)
    runs = compare_runs([tmp_path / "short", tmp_path / "long"])
    loss, accuracy = comparison_figure({run.name: run.records for run in runs}, "t", ("train", "validation")).axes
    curves = [line for line in loss.lines if line.get_linestyle() != "None" and len(line.get_xdata()) > 1]
    assert [len(line.get_xdata()) for line in curves] == [2, 2, *[len(runs[1].records)] * 2]
    kept = runs[1].kept
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in accuracy.lines if line.get_marker() == "o"]
    assert marks == [(kept.epoch, kept.scores[part].accuracy) for part in ("train", "validation")]


def test_the_figure_tells_eight_runs_apart_and_a_ninth_is_said_to_be_left_out(cli, tmp_path):
    names = [f"run{number}" for number in range(MAX_COMPARED + 1)]
    for name in names:
        train(tmp_path / name, epochs=1, seed=int(name[3:]))
    runs = compare_runs([tmp_path / name for name in names])
    figure = comparison_figure({run.name: run.records for run in runs[:MAX_COMPARED]}, "t", ("train",))
    assert len({line.get_color() for line in figure.axes[0].lines}) == MAX_COMPARED == 8
    code, _, err = cli("compare", *names)
    assert (code, "compare.png has the first 8 runs" in err) == (0, True)


def test_a_loss_that_is_no_number_is_null_in_json(cli, tmp_path):
    folder = train(tmp_path / "one")
    train(tmp_path / "other")
    *head, last = folder.metrics.read_text().splitlines()
    cells = last.split(",")
    cells[6] = ""
    folder.metrics.write_text("\n".join([*head, ",".join(cells)]) + "\n")
    code, out, _ = cli("compare", "one", "other", "--json")
    assert code == 0
    assert json.loads(out)[0]["scores"]["validation"]["loss"] is None
    assert math.isnan(compare_runs([tmp_path / "one", tmp_path / "other"])[0].kept.scores["validation"].loss)
