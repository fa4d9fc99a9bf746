"""Models of tables: what they take, their files, and what they say of what training had not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_models import rewrite

from xpmlp import (
    InputError,
    Model,
    Network,
    Scaling,
    TablePreparation,
    XpmlpWarning,
    initialize,
    load_model,
    read_table,
    save_model,
)

CSV = """age,job,married,joined,note
30,smith,True,2001-02-03,one of a kind
40,nurse,False,2004-03-02,another
,smith,True,2011-12-31,third
50,nurse,True,2012-01-01,fourth
60,smith,False,2013-05-06,fifth
35,nurse,True,2014-07-08,sixth
"""
KINDS = {"job": "category", "note": "text"}


@pytest.fixture(name="path")
def a_file(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(CSV)
    return path


@pytest.fixture(name="model")
def a_model(path):
    preparation = TablePreparation.fit(read_table(path, kinds=KINDS))
    d = len(preparation.feature_names_out)
    network = Network.build(d, [4], 2)
    layers = [type(layer)(*(p.astype("float32") for p in layer)) for layer in initialize(network, seed=1)]
    scaling, names = Scaling(np.zeros(d), np.ones(d)), preparation.feature_names_in
    return Model(network, layers, np.array(["no", "yes"]), scaling, names, preparation=preparation)


def expected(model, path):
    X = model.preparation.apply(read_table(path, kinds=KINDS))
    plain = replace(model, preparation=None, feature_names=None)
    return plain.predict_proba(X)


def test_files_frames_and_tables_give_the_same_predictions(model, path):
    p = expected(model, path)
    given = {"path": path, "str": str(path), "table": read_table(path)}
    given["pandas"] = pytest.importorskip("pandas").read_csv(path, parse_dates=["joined"])
    given["polars"] = pytest.importorskip("polars").read_csv(path, try_parse_dates=True)
    given["dates as texts"] = pytest.importorskip("pandas").read_csv(path)
    for kind, X in given.items():
        np.testing.assert_allclose(model.predict_proba(X), p, rtol=1e-6, err_msg=kind)
        assert model.predict(X).tolist() == model.classes[p.argmax(axis=1)].tolist()


def test_every_backend_predicts_the_same(model, path, backend):
    np.testing.assert_allclose(model.predict_proba(path, backend), expected(model, path), rtol=1e-5)


def test_columns_of_a_file_are_found_by_name_in_any_order_and_others_left_alone(model, path, tmp_path):
    rows = [line.split(",") for line in CSV.splitlines()]
    shuffled = tmp_path / "new.csv"
    shuffled.write_text("\n".join(",".join([row[3], row[1], f"x{n}", row[2], row[0]]) for n, row in enumerate(rows)))
    np.testing.assert_array_equal(model.predict_proba(shuffled), model.predict_proba(path))
    missing = tmp_path / "missing.csv"
    missing.write_text("\n".join(",".join(row[:3]) for row in rows))
    with pytest.raises(InputError, match="missing lacks the columns 'joined', which the model was trained on"):
        model.predict(missing)


def test_what_training_had_not_is_predicted_and_counted_in_one_warning(model, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("age,job,married,joined\n30,baker,True,\n31,smith,,\n")
    with pytest.warns(XpmlpWarning) as warned:
        assert model.predict(new).shape == (2,)
    (warning,) = warned
    assert str(warning.message) == (
        "column 'job' has 1 value unknown from training ('baker'); "
        "column 'married' has 1 gap, where training had none: filled by 1; "
        "column 'joined' has 2 gaps, where training had none: filled by the medians of its parts."
    )


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 5)), "read from the path of a file or a frame of pandas or Polars"),
        ("nowhere.csv", "There is no file nowhere.csv"),
    ],
)
def test_what_is_no_table_is_refused(model, X, message):
    with pytest.raises(InputError, match=message):
        model.predict(X)


def test_a_table_without_rows_or_with_values_of_another_kind_is_refused(model, path):
    table = read_table(path)
    with pytest.raises(InputError, match="people has no rows"):
        model.predict(table.take(slice(0)))
    for name in ("age", "joined"):
        words = replace(table["job"], name=name)
        with pytest.raises(
            InputError, match=rf"column '{name}' is to hold values of the kind '.*', but holds '(nurse|smith)'"
        ):
            model.predict(replace(table, columns=(words, *table.without([name]).columns)))


def test_a_model_of_numbers_takes_tables_and_files_of_numbers(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("c,b,a,word\n1,2,3,x\n4,5,6.5,y\n")
    network = Network.build(2, [3], 2)
    model = Model(network, initialize(network, seed=0), np.arange(2), Scaling(np.zeros(2), np.ones(2)), ("a", "b"))
    p = model.predict_proba(np.array([[3.0, 2.0], [6.5, 5.0]]))
    for X in (path, str(path), read_table(path)):
        np.testing.assert_array_equal(model.predict_proba(X), p)
    with pytest.raises(InputError, match="column 'word' of numbers is a category, but must hold numbers"):
        replace(model, feature_names=("a", "word")).predict(read_table(path))


def test_a_saved_model_of_a_table_loads_with_its_preparation(model, path, tmp_path):
    file = tmp_path / "model.safetensors"
    save_model(model, file)
    loaded = load_model(file)
    assert loaded.preparation == model.preparation
    assert loaded.scaling.is_identity
    np.testing.assert_array_equal(loaded.predict_proba(path), model.predict_proba(path))


def test_a_model_file_whose_preparation_is_damaged_is_refused(model, tmp_path):
    file = tmp_path / "model.safetensors"
    columns = model.preparation.to_json()
    damaged = {
        "does not describe a model": [3, ["age"], "age", [[]], [{}], [{"name": "a", "kind": "category"}]],
        "the preparation of the table gives 1 feature, but the network takes": [columns[2:3]],
        "columns of a preparation have the same name": [columns + columns[:1]],
        "kind is 'colour'": [[columns[0] | {"kind": "colour"}, *columns[1:]]],
        "factor is -1.0": [[{**columns[0], "parts": [{"name": "", "fill": 0.0, "center": 0.0, "factor": -1.0}]}]],
    }
    for message, cases in damaged.items():
        for values in cases:
            save_model(model, file)
            rewrite(file, preparation=values)
            with pytest.raises(InputError, match=message):
                load_model(file)
    save_model(model, file)
    rewrite(file, preparation=None)
    with pytest.raises(InputError, match=r"does not describe a model: .*scaling"):
        load_model(file)


def test_the_preparation_and_the_network_have_to_fit(model):
    fewer = TablePreparation(model.preparation.encodings[:2])
    with pytest.raises(InputError, match="the preparation of the table gives 4 features, but the network takes"):
        replace(model, preparation=fewer)
