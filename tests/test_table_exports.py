"""Models of tables as ONNX graphs: an input for each column, and the predictions of `Model`."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from test_table_models import a_file, a_model  # noqa: F401 - fixtures

from xpmlp import (
    Column,
    InputError,
    Model,
    Network,
    Scaling,
    Table,
    TablePreparation,
    export_model,
    initialize,
    read_table,
)


def inputs_of(model, table):
    """The columns of a table as the graph takes them."""
    arrays = {}
    for name, kind in model.preparation.kinds.items():
        values = table[name].values
        if kind == "category":
            values = np.array(["" if value is None else value for value in values], dtype=object)
        if kind == "date":
            values = np.where(np.isnat(values), np.nan, values.astype("M8[us]").astype(np.int64) / 86_400e6)
        arrays[name] = values[:, None]
    return arrays


def check_export(model, table, path):
    export_model(model, path, overwrite=True)
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, inputs_of(model, table)), strict=True))
    close = {"rtol": 1e-5, "atol": 1e-5} if model.dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12}
    if model.classes is None:
        np.testing.assert_allclose(found["prediction"], model.predict(table), **close)
        return
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(table), **close)
    np.testing.assert_array_equal(found["prediction"], model.predict(table))


def model_of(table, dtype="float64", scaling="robust", **more):
    amounts = np.random.default_rng(0).normal(size=len(table))
    preparation = TablePreparation.fit(table, scaling, amounts)
    d, names = len(preparation.feature_names_out), preparation.feature_names_in
    network = Network.build(d, [8], 3 if "classes" in more else 1, loss="softmax" if "classes" in more else "squared")
    layers = [type(layer)(*(p.astype(dtype) for p in layer)) for layer in initialize(network, seed=1)]
    classes = more.pop("classes", None)
    unscaled = Scaling(np.zeros(d), np.ones(d))
    return Model(network, layers, classes, unscaled, names, preparation=preparation, **more)


def drawn_table(rng, n=200):
    """A table with every kind of column, gaps, far values, and dates of eleven centuries."""
    numbers = rng.normal(1e9, 1e3, n)
    numbers[::9] = np.nan
    outliers = rng.standard_cauchy(n) * 10.0 ** rng.integers(-3, 20, n)
    dates = np.datetime64("1300-01-01", "us") + rng.integers(0, 400_000, n) * np.timedelta64(86_400_000_123, "us")
    dates[::11] = np.datetime64("NaT")
    jobs = rng.choice([*"abcdefg", "naïve", "with, comma"], n).astype(object)
    jobs[::13] = None
    many = np.array([f"c{number:.0f}" for number in rng.exponential(12, n)], dtype=object)
    return Table(
        "drawn",
        (
            Column("number", "number", numbers),
            Column("job", "category", jobs),
            Column("date", "date", dates),
            Column("outliers", "number", outliers),
            Column("constant but for gaps", "number", np.where(np.arange(n) % 3, 5.0, np.nan)),
            Column("truth", "truth value", np.where(np.arange(n) % 17, rng.integers(0, 2, n), np.nan)),
            Column("many", "category", many),
            Column("whole", "whole number", rng.integers(0, 5, n).astype(float)),
            Column("id", "identifier", np.arange(n).astype(str).astype(object)),
        ),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scaling", ["robust", "standard"])
def test_a_graph_of_a_table_gives_what_the_model_gives_for_every_kind_of_column(rng, tmp_path, scaling, dtype):
    table = drawn_table(rng)
    model = model_of(table.take(slice(100)), dtype, scaling, classes=np.array(["a", "b", "c"]))
    with pytest.warns(UserWarning, match="column 'many' has"):
        check_export(model, table, tmp_path / "model.onnx")


def test_a_graph_of_a_table_gives_the_values_of_a_regression(rng, tmp_path):
    table = drawn_table(rng)
    model = model_of(table, target_scaling=Scaling(np.array([100.0]), np.array([0.1])))
    check_export(model, table, tmp_path / "model.onnx")


@pytest.mark.parametrize("kinds", [["number", "whole number"], ["category"], ["truth value"], ["date"]])
def test_a_graph_of_columns_of_one_kind_gives_the_same(rng, tmp_path, kinds):
    table = drawn_table(rng, 3000)
    alone = table.select([name for name, kind in table.kinds.items() if kind in kinds])
    model = model_of(alone)
    assert "many mean" in model.preparation.feature_names_out or kinds != ["category"]
    check_export(model, alone, tmp_path / "model.onnx")


def test_dates_of_every_day_of_eight_hundred_years_become_the_same_parts(tmp_path):
    days = np.arange("1599-12-31", "2401-01-02", dtype="M8[D]").astype("M8[us]") + np.timedelta64(5, "h")
    table = Table("days", (Column("day", "date", days),))
    model = model_of(table.take(slice(0, None, 97)), scaling="none")
    check_export(model, table, tmp_path / "model.onnx")


def test_unseen_categories_and_gaps_that_training_had_not_are_treated_as_by_the_model(model, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("age,job,married,joined\n30,baker,True,\n31,smith,,\n,,False,2012-02-02\n")
    table = read_table(new, known=model.preparation.kinds)
    with pytest.warns(UserWarning, match="column 'job' has 1 value unknown"):
        check_export(model, table, tmp_path / "model.onnx")


def test_the_inputs_of_a_graph_are_the_columns_and_its_metadata_name_their_kinds(model, tmp_path):
    export_model(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert {each.name: (each.type, each.shape) for each in session.get_inputs()} == {
        "age": ("tensor(double)", ["n", 1]),
        "job": ("tensor(string)", ["n", 1]),
        "married": ("tensor(double)", ["n", 1]),
        "joined": ("tensor(double)", ["n", 1]),
    }
    kinds = {"age": "whole number", "job": "category", "married": "truth value", "joined": "date"}
    assert json.loads(session.get_modelmeta().custom_metadata_map["kinds"]) == kinds
    assert [(each.domain, each.version) for each in onnx.load(tmp_path / "model.onnx").opset_import] == [
        ("", 13),
        ("ai.onnx.ml", 2),
    ]


def test_columns_may_be_called_as_values_of_the_graph_but_not_as_its_outputs(rng, tmp_path):
    names = ["W1", "Add5", "center", "classes", "MatMul3", "Identity9", "one", "features of W1"]
    kinds = ["category", "number"] * 4
    texts = rng.choice(["a", "b"], (8, 50)).astype(object)
    numbers = rng.normal(size=(8, 50))
    columns = [
        Column(name, kind, texts[j] if kind == "category" else numbers[j])
        for j, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    table = Table("names", tuple(columns))
    check_export(model_of(table, classes=np.arange(3)), table, tmp_path / "model.onnx")
    taken = Table("names", (replace(columns[1], name="prediction"), *columns[2:]))
    with pytest.raises(InputError, match="column 'prediction' has the name of an output of the graph"):
        export_model(model_of(taken), tmp_path / "other.onnx")


@pytest.mark.parametrize("ending", ["npz", "skops"])
def test_other_files_are_refused(model, tmp_path, ending):
    with pytest.raises(InputError, match=r"a model of a table, .* is exported to \.onnx alone"):
        export_model(model, tmp_path / f"model.{ending}")
    assert not (tmp_path / f"model.{ending}").exists()
