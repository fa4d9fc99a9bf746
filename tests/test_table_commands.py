"""Tables at the command line: texts, gaps, truth values and dates are trained on, predicted and evaluated."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from xpmlp import InputError, Table, TablePreparation, load_dataset, read_table
from xpmlp.cli import main
from xpmlp.experiments.experiment import fingerprint, load_splits, prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder

N = 240
NEW = "job,id,age,joined,married\nnurse,1,33,2004-02-11,True\nbaker,2,,2011-07-03,False\n,3,51,,True\n"


@pytest.fixture(name="people", scope="module")
def a_file_of_people(tmp_path_factory):
    """Like what people bring: an identifier, gaps of two spellings, categories, truth values, dates, texts."""
    rng = np.random.default_rng(0)
    lines = ["id,age,job,married,joined,income"]
    for row in range(N):
        age = ["", "?"][row % 2] if row % 11 == 0 else str(rng.integers(18, 70))
        job = ["smith", "nurse", "", "clerk"][rng.integers(4)]
        joined = f"{2000 + row % 20}-{1 + row % 12:02}-{10 + row % 9}"
        married = bool(rng.integers(2))
        income = ">50k" if married and job != "smith" else "<=50k"
        lines.append(f"{1000 + row},{age},{job},{married},{joined},{income}")
    path = tmp_path_factory.mktemp("data") / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["xpmlp", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


@pytest.fixture(name="trained", scope="module")
def a_run(people, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "people"
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "train", people, "--target", "income", "--epochs", 40, "--out", out, "-q") == 0
    return out


def test_a_table_is_trained_on_and_the_columns_are_shown(people, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    monkeypatch.setenv("COLUMNS", "150")
    assert run(monkeypatch, "train", people, "--target", "income", "--epochs", 2, "--out", out) == 0
    said = capsys.readouterr().out
    for words in (
        ("id", "identifier", "left out: each row has its own value"),
        ("age", "whole number", "a number; gaps filled and marked"),
        ("job", "category", "one-hot, 3 categories; gaps marked"),
        ("married", "truth value", "0 and 1"),
        ("joined", "date", "year, month, weekday, days"),
    ):
        (line,) = (line for line in said.splitlines() if line.startswith(f"│ {words[0]} "))
        assert all(word in line for word in words)


def test_what_a_table_says_of_its_target_is_learnt(trained):
    assert RunFolder(trained).rows()[-1]["test_accuracy"] > 0.9


def test_the_card_of_a_run_lists_the_columns_with_their_kinds_and_what_became_of_them(trained, monkeypatch, capsys):
    assert run(monkeypatch, "show", trained, "--json") == 0
    card = json.loads(capsys.readouterr().out)
    assert card["became"] == {
        "id": "left out: each row has its own value",
        "age": "a number; gaps filled and marked",
        "job": "one-hot, 3 categories; gaps marked",
        "married": "0 and 1",
        "joined": "year, month, weekday, days",
    }
    kinds = ["identifier", "whole number", "category", "truth value", "date", "category"]
    assert [column[1] for column in card["data"]["columns"]] == kinds
    assert card["preprocessing"] == "5 columns, 1 of them left out, as 11 features"
    assert card["feature_names"] == ["age", "job", "married", "joined"]
    assert run(monkeypatch, "show", trained / "model.safetensors") == 0
    assert "one-hot, 3 categories; gaps marked" in capsys.readouterr().out


def test_rows_in_another_order_of_columns_with_gaps_and_an_unseen_category_are_predicted(
    trained, tmp_path, monkeypatch, capsys
):
    new = tmp_path / "people-new.csv"
    new.write_text(NEW)
    assert run(monkeypatch, "predict", trained, new, "--proba") == 0
    out, err = capsys.readouterr()
    rows = list(csv.reader(out.splitlines()))
    assert rows[0] == ["prediction", "probability <=50k", "probability >50k"]
    assert len(rows) == 4
    assert err.count("Warning") == 1
    assert "column 'job' has 1 value unknown from training ('baker')" in err
    assert "column 'joined' has 1 gap, where training had none" in err
    expected = RunFolder(trained).load().predict(read_table(new))
    assert [row[0] for row in rows[1:]] == expected.tolist()


def test_new_rows_with_their_labels_are_evaluated_and_what_is_new_is_said_once(trained, tmp_path, monkeypatch, capsys):
    new = tmp_path / "labelled.csv"
    lines = NEW.splitlines()
    labels = ["income", ">50k", "<=50k", ">50k"]
    new.write_text("\n".join(f"{label},{line}" for label, line in zip(labels, lines, strict=True)))
    assert run(monkeypatch, "evaluate", trained, new, "--target", "income") == 0
    out, err = capsys.readouterr()
    assert "labelled, all of it: accuracy" in out
    assert err.count("baker") == 1


def test_a_run_is_evaluated_on_its_own_parts_and_knows_its_own_file(trained, people, monkeypatch, capsys):
    for part in ("test", "train"):
        assert run(monkeypatch, "evaluate", trained, "--part", part) == 0
    assert run(monkeypatch, "evaluate", trained, people) == 0
    assert "these are the data that the run was trained on" in capsys.readouterr().err


def test_the_importance_of_each_column_is_measured(trained, monkeypatch):
    assert run(monkeypatch, "evaluate", trained) == 0
    rows = list(csv.reader((trained / "importance.csv").read_text().splitlines()))
    assert sorted(row[0] for row in rows[1:]) == ["age", "job", "joined", "married"]
    assert {row[0] for row in rows[1:3]} == {"job", "married"}


def test_a_table_may_have_files_for_its_parts_and_rows_that_belong_together(people, tmp_path, monkeypatch):
    lines = people.read_text().splitlines()
    files = {name: tmp_path / f"{name}.csv" for name in ("train", "validation", "test")}
    for name, rows in zip(files, (lines[1:181], lines[181:211], lines[211:]), strict=True):
        files[name].write_text("\n".join([lines[0], *rows]))
    parts = {"validation_file": str(files["validation"]), "test_file": str(files["test"])}
    experiment = prepare(Options(str(files["train"]), target="income", **parts))
    assert {name: X.shape[0] for name, (X, _) in experiment.sets.items()} == {
        "train": 180,
        "validation": 30,
        "test": 30,
    }
    assert experiment.model.preparation == TablePreparation.fit(experiment.dataset.X)
    grouped = prepare(Options(str(people), target="income", group="joined"))
    assert grouped.model.feature_names == ("age", "job", "married")


def test_the_group_is_told_from_the_target_among_the_columns(people, tmp_path, monkeypatch, capsys):
    options = ("--target", "income", "--group", "joined", "--epochs", "1", "--hidden", "2")
    assert run(monkeypatch, "train", people, *options, "--out", tmp_path / "run") == 0
    trained = capsys.readouterr().out
    assert run(monkeypatch, "show", tmp_path / "run") == 0
    for shown in (trained, capsys.readouterr().out):
        became = {name: line for line in shown.splitlines() for name in ("income", "joined") if f"│ {name} " in line}
        assert ("the target" in became["income"], "the group" in became["joined"]) == (True, True)


def test_a_file_without_a_column_of_the_model_or_of_another_kind_is_refused(trained, tmp_path, monkeypatch, capsys):
    new = tmp_path / "new.csv"
    new.write_text("age,job,joined\n30,smith,2004-02-11\n")
    assert run(monkeypatch, "predict", trained, new) == 2
    assert "new lacks the columns 'married', which the model was trained on" in capsys.readouterr().err
    new.write_text("age,job,joined,married\n30,smith,yesterday,True\n")
    assert run(monkeypatch, "predict", trained, new) == 2
    assert "column 'joined' is to hold values of the kind 'date', but holds 'yesterday'" in capsys.readouterr().err


def test_a_file_whose_columns_are_numbers_today_is_still_read_by_the_kinds_of_training(tmp_path, monkeypatch, capsys):
    """Gaps in training, none in the file to predict; codes that look like numbers."""
    train = tmp_path / "train.csv"
    train.write_text(
        "a,code,y\n" + "".join(f"{'' if n % 5 == 0 else n},{'x1'[n % 2]},{['no', 'yes'][n % 2]}\n" for n in range(40))
    )
    out = tmp_path / "run"
    assert run(monkeypatch, "train", train, "--epochs", 30, "--out", out, "-q") == 0
    new = tmp_path / "new.csv"
    new.write_text("a,code\n1,1\n2,1\n")
    assert run(monkeypatch, "predict", out, new) == 0
    assert capsys.readouterr().out.split() == ["prediction", "yes", "yes"]
    new.write_text("a,code,y\n1,1,yes\n2,1,no\n")
    assert run(monkeypatch, "evaluate", out, new) == 0


def test_nothing_is_learnt_from_what_is_held_out(people, tmp_path):
    """The preparation is that of the training rows alone: whatever the others hold, it stays the same."""
    options = Options(str(people), target="income", epochs=1)
    dataset, parts = load_splits(options)
    preparation = prepare(options).model.preparation
    assert preparation == TablePreparation.fit(parts.train[0])
    assert preparation != TablePreparation.fit(dataset.X)

    rows = list(csv.DictReader(people.read_text().splitlines()))
    held_out = set(dataset.X["id"].values) - set(parts.train[0]["id"].values)
    for row in rows:
        if row["id"] in held_out:
            row |= {"age": "1000000", "job": "astronaut", "married": "", "joined": "1789-07-14"}
    changed = tmp_path / "people.csv"
    with changed.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    other = prepare(replace(options, dataset=str(changed)))
    assert fingerprint(other.dataset) != fingerprint(dataset)
    assert other.model.preparation == preparation
    np.testing.assert_array_equal(other.sets["train"][0], prepare(options).sets["train"][0])


def test_an_interrupted_run_of_a_table_is_resumed_with_the_same_preparation(people, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    asked = ["--target", "income", "--epochs", 4, "-q", "--out"]
    assert run(monkeypatch, "train", people, *asked, whole) == 0
    options = Options(str(people), target="income", epochs=4)
    experiment, folder = prepare(options), RunFolder(cut)
    folder.start(experiment)
    records = []
    for record in experiment.records():
        records.append(record)
        folder.add(record)
        if record.epoch == 2:
            folder.save_checkpoint(experiment, records)
            break
    assert run(monkeypatch, "train", "--resume", cut, "-q") == 0
    models = [RunFolder(path).load() for path in (whole, cut)]
    assert models[0].preparation == models[1].preparation
    for one, other in zip(models[0].layers, models[1].layers, strict=True):
        np.testing.assert_array_equal(one.W, other.W)


def test_files_of_numbers_are_arrays_as_before(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("id,same,x,y\n1,5,0.5,a\n2,5,1.5,b\n3,5,2.5,a\n4,5,3.5,b\n")
    dataset = load_dataset(path)
    assert isinstance(dataset.X, np.ndarray)
    assert dataset.X.tolist() == [[1, 5, 0.5], [2, 5, 1.5], [3, 5, 2.5], [4, 5, 3.5]]
    assert prepare(Options(str(path), validation=0, test=0)).model.preparation is None


def test_a_data_set_of_a_table_says_so(people):
    dataset = load_dataset(people, target="income")
    assert isinstance(dataset.X, Table)
    assert repr(dataset) == f"<Dataset people: {N} examples of 5 columns, 2 classes>"


def test_fingerprints_tell_gaps_texts_and_kinds_apart(people):
    dataset = load_dataset(people, target="income")
    jobs = dataset.X["job"]
    seen = {fingerprint(dataset)}
    for values in (
        np.where(jobs.missing, "", jobs.values),
        np.where(jobs.missing, "None", jobs.values),
        jobs.values[::-1],
    ):
        column = replace(jobs, values=values)
        columns = tuple(column if each.name == "job" else each for each in dataset.X.columns)
        seen.add(fingerprint(replace(dataset, X=replace(dataset.X, columns=columns))))
    assert len(seen) == 4


def test_rows_without_a_target_are_left_out_and_said(tmp_path, monkeypatch, capsys):
    path = tmp_path / "gaps.csv"
    path.write_text("a,b,y\n" + "1,x,one\n,y,two\n5,x,\n" * 40)
    dataset = load_dataset(path, target="y")
    assert dataset.X.shape == (80, 2)
    assert dataset.note == "40 rows without a value in column 'y', the target: left out."
    assert set(dataset.y) == {"one", "two"}
    assert run(monkeypatch, "train", path, "--epochs", 1, "--batch-size", 8, "--out", tmp_path / "run") == 0
    assert "40 rows without a value in column 'y'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,y\nx,\ny,\nx,\n", "column 'y': 3 labels missing, the first in row 1"),
        ("a,b,y\nx,,one\nx,,two\nx,,one\nx,,two\n", "no column of .* is left to learn from: 'a' left out: all rows"),
    ],
)
def test_tables_that_nothing_can_be_learnt_from_are_refused(content, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        prepare(Options(str(path), validation=0, test=0))


@pytest.fixture(name="numbers", scope="module")
def a_run_of_a_table_of_numbers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    rows = "".join(f"{i},{(7 * i) % 50},{'high' if i > 40 else 'low'}\n" for i in range(80))
    (folder / "data.csv").write_text(f"a,b,y\n{rows}")
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "train", folder / "data.csv", "--epochs", 2, "--out", folder / "run", "-q") == 0
    return folder / "run"


def test_a_model_of_complete_numbers_fills_the_gaps_of_new_rows_and_counts_them(numbers, tmp_path, monkeypatch, capsys):
    model = RunFolder(numbers).load()
    train = prepare(RunFolder(numbers).options()).dataset
    assert model.medians.tolist() == np.median(load_splits(RunFolder(numbers).options())[1].train[0], axis=0).tolist()
    assert model.preparation is None
    assert train.X.shape == (80, 2)
    new = tmp_path / "new.csv"
    for content in ("b,a\n,1\n,70\n3,2\n", "1,\n70,\n2,3\n"):
        new.write_text(content)
        assert run(monkeypatch, "predict", numbers, new) == 0
        out, err = capsys.readouterr()
        median = model.medians[1]
        assert f"column 'b' has 2 gaps, where training had none: filled by {median:g}." in err
        assert out.split()[1:] == model.predict(np.array([[1, median], [70, median], [2, 3]])).tolist()
    new.write_text("b,a,y\n,1,low\n,,high\n3,2,low\n")
    assert run(monkeypatch, "evaluate", numbers, new) == 0
    assert "column 'a' has 1 gap" in capsys.readouterr().err


def test_a_file_with_a_held_out_part_may_have_gaps_where_the_training_data_have_none(numbers, tmp_path):
    held_out = tmp_path / "test.csv"
    held_out.write_text("a,b,y\n,3,low\n70,,high\n")
    experiment = prepare(replace(RunFolder(numbers).options(), test_file=str(held_out)))
    model = experiment.model
    filled = np.array([[model.medians[0], 3], [70, model.medians[1]]])
    np.testing.assert_array_equal(experiment.sets["test"][0], model.scaling.apply(filled, "float32"))


def test_robust_scaling_of_complete_numbers_is_refused_with_what_there_is(numbers):
    with pytest.raises(InputError, match=r"robust is for tables with texts or gaps, .* among none, range, standard"):
        prepare(replace(RunFolder(numbers).options(), scaling="robust"))


def test_the_training_part_alone_is_prepared_with_its_targets(tmp_path):
    rows = [f"t{i // 4},{i % 3}" for i in range(240)]
    (tmp_path / "towns.csv").write_text("\n".join(["town,y", *rows]))
    options = Options(str(tmp_path / "towns.csv"), dtype="float64", test=0.3)
    experiment, (X, y) = prepare(options), load_splits(options)[1].train
    preparation = experiment.model.preparation
    assert preparation.became == {"town": "share of each of 3 classes in each of 60 categories"}
    told = preparation.apply(X, targets=y)
    assert (told != preparation.apply(X)).any()
    np.testing.assert_array_equal(experiment.sets["train"][0], told)
    np.testing.assert_array_equal(experiment.sets["test"][0], preparation.apply(load_splits(options)[1].test[0]))


def test_a_class_with_one_example_is_trained_on_and_said(people, tmp_path, monkeypatch, capsys):
    path = tmp_path / "rare.csv"
    path.write_text(people.read_text() + "9999,50,smith,True,2004-02-11,unknown\n")
    out = tmp_path / "run"
    assert run(monkeypatch, "train", path, "--target", "income", "--epochs", 1, "--out", out) == 0
    assert "The test part has no example of 1 of the 3 classes, which are rare: 'unknown'." in capsys.readouterr().err
    assert RunFolder(out).load().classes.tolist() == ["<=50k", ">50k", "unknown"]
    assert run(monkeypatch, "evaluate", out) == 0


@pytest.mark.parametrize("unit", ["e-30", "e30"])
def test_amounts_whose_squares_are_beyond_float32_have_the_scores_of_all_others(cli, tmp_path, rng, unit):
    rows = [f"{x},{round(abs(x) * 1e6)}" for x in rng.normal(size=80).tolist()]
    (tmp_path / "ones.csv").write_text("\n".join(["x,y", *rows]))
    (tmp_path / "units.csv").write_text("\n".join(["x,y", *(row + unit for row in rows)]))
    train = ("--epochs", "3", "--quiet", "--members", "2")
    assert cli("train", "ones.csv", *train, "--out", "ones")[0] == 0
    code, _, err = cli("train", "units.csv", *train, "--out", "units")
    assert code == 0, err
    one, other = (RunFolder(tmp_path / name).rows()[-1] for name in ("ones", "units"))
    assert other["test_r2"] == pytest.approx(one["test_r2"], abs=1e-4)
    assert other["test_rmse"] == pytest.approx(one["test_rmse"] * float(f"1{unit}"), rel=1e-4)
    assert other["test_mae"] == pytest.approx(one["test_mae"] * float(f"1{unit}"), rel=1e-4)
