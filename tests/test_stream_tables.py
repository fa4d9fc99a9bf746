"""Tables larger than memory: trained on as folders of .npy are, prepared as in memory."""

import gc
import gzip
import json
import tempfile
from dataclasses import replace

import numpy as np
import pytest

from xpmlp import InputError, read_table
from xpmlp.data.datasets import load_dataset
from xpmlp.data.streams import is_large_table, load_table_stream, tables
from xpmlp.data.tables.preparation import TablePreparation
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options

N = 1500
QUICK = ("--hidden", "8", "--epochs", "2")


@pytest.fixture(autouse=True)
def _low_bound(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "MAX_IN_MEMORY", 1000)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def people(n=N):
    """Lines of a table with texts, gaps, dates and truth values, whose label is its last column."""
    rng = np.random.default_rng(4)
    age, job = rng.integers(18, 90, n), rng.choice(["smith", "nurse", "cook", ""], n)
    for i in range(n):
        gap, married, income = (
            "" if i % 7 == 0 else age[i],
            "true" if i % 3 else "false",
            "rich" if age[i] > 50 else "poor",
        )
        yield f"{i},{gap},{job[i]},{married},20{i % 25:02d}-01-05,{income}"


def written(path, rows, header="id,age,job,married,joined,income"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def numbers(n=N):
    rng = np.random.default_rng(5)
    for x in rng.standard_normal((n, 3)).tolist():
        yield ",".join(map(repr, [*x, "ab"[x[0] > 0]])).replace("'", "")


def examples(part):
    return np.concatenate(list(part.examples())), np.concatenate(list(part.targets()))


def test_the_size_of_a_table_decides_that_it_is_read_by_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_IN_MEMORY", 4000)
    sizes = {"a.csv": 4000, "b.csv": 4001, "c.csv.gz": 1001, "d.parquet": 1001, "e.parquet": 1000, "f.feather": 9999}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"x" * size)
    large = [name for name in sizes if is_large_table(str(tmp_path / name))]
    assert large == ["b.csv", "c.csv.gz", "d.parquet"]
    assert not any(map(is_large_table, ["digits", "-", "none.csv", str(tmp_path)]))


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_rows_are_prepared_as_in_memory_by_what_the_training_part_holds(suffix, tmp_path):
    path = written(tmp_path / "people.csv", people())
    if suffix == ".csv.gz":
        path = tmp_path / "people.csv.gz"
        path.write_bytes(gzip.compress((tmp_path / "people.csv").read_bytes()))
    data, parts = load_table_stream(path, validation=0.1, test=0.2, seed=3)
    table = read_table(path)
    assert data.preparation is not None
    features = table.without(["income"])
    rows = {name: np.concatenate([np.arange(*block) for block in pair[0].blocks]) for name, pair in parts.parts.items()}
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(N))
    assert data.preparation == TablePreparation.fit(features.take(rows["train"]))
    for name, (part, _) in parts.parts.items():
        X, y = examples(part)
        assert X.dtype == np.float32
        np.testing.assert_array_equal(X, data.preparation.apply(features.take(rows[name]), "float32"))
        assert y.tolist() == table["income"].values[rows[name]].tolist()
    assert data.classes.tolist() == ["poor", "rich"]
    assert (data.feature_names, data.target_name) == (tuple(features.names), "income")
    assert [column[:2] for column in data.columns] == list(table.kinds.items())
    assert f"learnt from all {len(rows['train']):,} rows of the training part" in data.note


def test_of_a_larger_training_part_a_sample_is_learnt_from_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_SAMPLED", 5 * 200)
    path = written(tmp_path / "people.csv", [*people(), f"{N},40,unheard,true,2001-01-05,poor"])
    data, parts = load_table_stream(path, seed=1)
    n = int(data.note.split("learnt from ")[1].split(" of")[0])
    assert 150 < n < 250
    assert f"{n} of the 1,501 rows of the training part" in data.note
    again = load_table_stream(path, seed=1)[0]
    assert (again.preparation, again.sha256) == (data.preparation, data.sha256)
    assert load_table_stream(path, seed=2)[0].preparation != data.preparation
    assert parts.train[0].shape[0] == N + 1
    assert "'job'" in data.note.split("Values of ")[1]


def test_numbers_without_gaps_are_written_to_the_last_bit_and_scaled_as_in_memory(tmp_path):
    path = written(tmp_path / "numbers.csv", numbers(), "a,b,c,y")
    data, parts = load_table_stream(path, target="y")
    dataset = load_dataset(path)
    X, y = examples(parts.train[0])
    assert data.preparation is None
    assert (X.dtype, X.tolist(), y.tolist()) == (np.float64, dataset.X.tolist(), dataset.y.tolist())
    by_rows = prepare(Options(dataset=str(path), validation=0, test=0, epochs=1))
    in_memory = prepare(replace(by_rows.options, class_weight="balanced"))
    for scaled in ("shift", "scale"):
        wanted = getattr(in_memory.model.scaling, scaled)
        np.testing.assert_allclose(getattr(by_rows.model.scaling, scaled), wanted, rtol=1e-12)
    assert by_rows.model.feature_names == in_memory.model.feature_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("label", "dtype", "task"),
    [
        (lambda i: i % 3, "i", "classification"),
        (lambda i: 2 * i, "i", "regression"),
        (lambda i: i / 2 if i == N - 1 else i % 3, "f", "regression"),
        (lambda i: f"{i % 3:02d}", "U", "classification"),
        (lambda i: i % 2 == 0, "U", "classification"),
        (lambda i: "x" if i == N - 1 else i % 3, "U", "classification"),
    ],
)
def test_the_targets_are_read_by_all_rows(label, dtype, task, tmp_path):
    path = written(tmp_path / "t.csv", (f"{i % 11},{label(i)}" for i in range(N)), "x,y")
    data, parts = load_table_stream(path)
    dataset = load_dataset(path)
    y = np.concatenate(list(parts.train[0].targets()))
    assert (data.task, y.dtype.kind) == (dataset.task, "f" if task == "regression" else dtype)
    assert data.task.name == task
    assert y.tolist() == dataset.y.tolist()


@pytest.mark.parametrize("label", [lambda i: i, lambda i: f"person-{i}"])
def test_a_target_that_tells_the_rows_apart_is_refused_as_in_memory(label, tmp_path):
    path = written(tmp_path / "t.csv", (f"{i % 11},{label(i)}" for i in range(N)), "x,y")
    with pytest.raises(InputError, match="column 'y' tells the rows apart, and can be no target") as in_memory:
        load_dataset(path)
    with pytest.raises(InputError) as by_rows:
        load_table_stream(path)
    assert str(by_rows.value) == str(in_memory.value)
    assert not list((tmp_path / "temporary").iterdir())


def test_texts_that_mostly_do_not_recur_are_refused_as_in_memory_unless_they_are_called_classes(tmp_path):
    path = written(tmp_path / "t.csv", (f"{i % 11},t{int(i // 1.9)}" for i in range(N)), "x,y")
    with pytest.raises(
        InputError, match=r"column 'y' of .*t\.csv holds 789 different values in 1,500 rows.*--task classification"
    ):
        load_table_stream(path)
    assert load_table_stream(path, task="classification")[0].classes.size == 789


def test_rows_without_a_target_are_left_out_and_counted(tmp_path):
    path = written(tmp_path / "t.csv", (f"{i % 11}.5,{'' if i % 10 == 0 else 'ab'[i % 2]}" for i in range(N)), "x,y")
    data, parts = load_table_stream(path)
    X, y = examples(parts.train[0])
    assert "150 rows without a value in column 'y', the target: left out." in data.note
    assert X.shape == (N - 150, 1)
    assert X[:, 0].tolist() == [i % 11 + 0.5 for i in range(N) if i % 10]
    assert y.tolist() == ["ab"[i % 2] for i in range(N) if i % 10]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,inf,x,a", "column 'b' holds infinite values, the first in row 1500"),
        ("1,2,x", "line 1502: found 3 cells, but expected 4"),
        (f"1,2,x,{'c' * 300}", "column 'y': a label has 300 characters"),
    ],
)
def test_what_is_wrong_far_below_is_an_error_and_leaves_no_files(row, message, tmp_path):
    path = written(
        tmp_path / "t.csv", [*(f"{i % 9},{i % 5}.5,{'xz'[i % 2]},{'ab'[i % 2]}" for i in range(N)), row], "a,b,c,y"
    )
    with pytest.raises(InputError, match=message):
        load_table_stream(path)
    assert not list((tmp_path / "temporary").iterdir())


def test_where_the_disk_has_no_room_it_is_said_first(tmp_path, monkeypatch):
    path = written(tmp_path / "numbers.csv", numbers(), "a,b,c,y")
    monkeypatch.setattr(tables.shutil, "disk_usage", lambda _: tables.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InputError, match=r"needs about 0.0 GB in .*make room, or name another folder .* TMPDIR"):
        load_table_stream(path)


def test_a_large_table_is_trained_on_evaluated_and_predicted_by_the_same_commands(cli, tmp_path):
    written(tmp_path / "people.csv", people())
    code, out, err = cli("train", "people.csv", "--target", "income", "--out", "run", *QUICK)
    assert code == 0, err
    assert "people.csv is read by rows" in (out + err).replace("\n", " ")
    assert "one-hot" in out
    card = json.loads(cli("show", "run", "--json")[1])
    assert sum(card["data"]["examples"].values()) == N
    assert card["classes"] == ["poor", "rich"]
    code, out, _ = cli("evaluate", "run")
    assert code == 0
    assert f"accuracy {card['metrics']['last']['test_accuracy']:.4f}" in out
    code, out, _ = cli("predict", "run", "people.csv", "--keep", "id")
    assert (code, len(out.splitlines())) == (0, N + 1)


def test_a_run_on_a_large_table_goes_on_to_the_same_bytes(cli, tmp_path):
    written(tmp_path / "people.csv", people())
    assert cli("train", "people.csv", "--target", "income", "--out", "whole", *QUICK, "--quiet")[0] == 0
    assert cli("train", "people.csv", "--target", "income", "--out", "again", *QUICK, "--quiet")[0] == 0
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "again")]
    assert models[0] == models[1]


def test_the_prepared_rows_are_removed_with_the_data(tmp_path):
    data, parts = load_table_stream(written(tmp_path / "people.csv", people()))
    assert [path.name for path in (tmp_path / "temporary").glob("*/*")] in (["X.npy", "y.npy"], ["y.npy", "X.npy"])
    del data, parts
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir())


def test_a_column_that_tells_rows_apart_is_noticed(tmp_path):
    path = written(tmp_path / "t.csv", (f"{i},{i % 5}.5,{'ab'[i % 2]}" for i in range(N)), "id,x,y")
    assert "Column 'id' tells the rows apart" in load_table_stream(path)[0].note


def test_groups_and_weights_need_a_large_table_in_memory(tmp_path):
    path = written(tmp_path / "numbers.csv", numbers(), "a,b,c,y")
    for options in ({"class_weight": "balanced"}, {"test_file": str(path)}, {"group": "b"}):
        experiment = prepare(Options(dataset=str(path), validation=0, test=0.2, epochs=1, **options))
        assert type(experiment.dataset).__name__ == "Dataset"


def test_many_categories_of_a_large_table_are_one_hot_in_training_and_in_evaluation(cli, tmp_path):
    rows = (f"c{i % 50},{i % 7},{'ab'[i % 50 > 25]}" for i in range(N))
    written(tmp_path / "t.csv", rows, "code,x,y")
    code, out, err = cli("train", "t.csv", "--out", "run", *QUICK)
    assert (code, "one-hot, 32 of 50 categories" in " ".join(out.replace("│", " ").split())) == (0, True), err
    assert cli("evaluate", "run")[0] == 0
