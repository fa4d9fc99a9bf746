"""Regression from a file to predictions: scores, options, commands; and the weights of classes."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, mean_absolute_error, r2_score, root_mean_squared_error
from test_readme import run, snippets_of

from xpmlp import Constant, InputError, Network, Options, Recipe, initialize, load_model, prepare, train
from xpmlp.experiments.evaluation import permutation_importances, report_amounts, report_classes
from xpmlp.experiments.experiment import load_splits, score_model
from xpmlp.experiments.recipes import check_options
from xpmlp.experiments.runs import LATER, RunFolder, options_sha256
from xpmlp.nn.losses import LOSSES, build_loss, huber, quantile
from xpmlp.nn.optimizers import SGD
from xpmlp.search import _results

QUICK = ["--hidden", "8", "--epochs", "4", "--quiet"]


@pytest.fixture
def houses(tmp_path):
    """Prices around 200,000 that depend on two columns of three."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    price = np.round(2e5 + 5e4 * (X[:, 0] - 0.5 * X[:, 1]) + 1e3 * rng.normal(size=200))
    with (tmp_path / "houses.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["area", "age", "noise", "price"])
        writer.writerows(np.column_stack([X, price]).tolist())
    return tmp_path / "houses.csv"


@pytest.fixture
def rare(tmp_path):
    """Classes of which one is rare: 10 of 300, not easily told apart."""
    rng = np.random.default_rng(0)
    y = np.arange(300) < 10
    X = rng.normal(size=(300, 2)) + y[:, None]
    rows = "".join(f"{a},{b},{'fraud' if label else 'fine'}\n" for (a, b), label in zip(X, y, strict=True))
    (tmp_path / "rare.csv").write_text(f"a,b,label\n{rows}")
    return tmp_path / "rare.csv"


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_scores_of_amounts_are_scikit_learns_in_the_unit_of_the_target(backend, rng, n_outputs):
    X, T = rng.normal(size=(40, 3)), rng.normal(size=(40, n_outputs))
    units = [5.0, 5.0][:n_outputs]
    net, layers = (net := Network.build(3, [4], n_outputs, loss="squared")), initialize(net, seed=1)
    examples, targets = backend.asarray(X), backend.asarray(T)
    recipe = Recipe(SGD(), Constant(1e-30), epochs=1, batch_size=8)
    sets = {"all": (examples, targets)}
    (record,) = train(backend, net, layers, examples, targets, recipe, evaluate=sets, units=units)
    (W1, b1), (W2, b2) = layers
    predicted = (np.maximum(X.dot(W1) + b1, 0).dot(W2) + b2) * 5.0
    score = record.scores["all"]
    assert np.isnan(score.accuracy)
    expected = r2_score(5.0 * T, predicted, multioutput="variance_weighted")
    assert score.r2 == pytest.approx(expected, rel=1e-9)
    assert score.rmse == pytest.approx(np.sqrt(np.mean((predicted - 5.0 * T) ** 2)), rel=1e-9)
    assert score.mae == pytest.approx(mean_absolute_error(5.0 * T, predicted), rel=1e-9)


@pytest.mark.parametrize("loss", ["auto", "absolute_error", "huber:0.5", "quantile:0.5", "poisson"])
def test_a_run_of_every_loss_scores_as_scikit_learn_does_and_learns(houses, loss):
    options = Options(str(houses), hidden=(8,), epochs=60, batch_size=16, learning_rate=0.01, loss=loss)
    if loss == "poisson":  # of counts that are not too large
        lines = houses.read_text().splitlines()
        rows = [line.rsplit(",", 1) for line in lines[1:]]
        houses.write_text("\n".join([lines[0], *(f"{head},{max(0, round(float(y) / 5e4))}" for head, y in rows)]))
        options = replace(options, task="regression")
    experiment = prepare(options)
    assert experiment.model.network.loss.name == {"auto": "squared", "absolute_error": "absolute"}.get(
        loss, loss.partition(":")[0]
    )
    assert (experiment.model.target_scaling is None) == (loss == "poisson")
    *_, last = experiment.records()
    model, (X, y) = experiment.trained(last.layers), load_splits(options)[1].test
    score, predicted = last.scores["test"], model.predict(X)
    assert score.r2 == pytest.approx(r2_score(y, predicted), rel=1e-4)
    if loss != "poisson":  # its exponential is far from these prices
        assert score.r2 > 0.8
    assert score.rmse == pytest.approx(root_mean_squared_error(y, predicted), rel=1e-4)
    assert score.mae == pytest.approx(mean_absolute_error(y, predicted), rel=1e-4)
    again = score_model(model, experiment.backend, X, y)
    assert (again.r2, again.rmse, again.mae) == pytest.approx((score.r2, score.rmse, score.mae), rel=1e-5)


def test_targets_are_scaled_by_the_training_part_alone(houses):
    model, parts = prepare(Options(str(houses))).model, load_splits(Options(str(houses)))[1]
    assert model.target_scaling.shift[0] == pytest.approx(parts.train[1].mean(), rel=1e-12)
    assert model.units[0] == pytest.approx(parts.train[1].std(), rel=1e-12)
    assert model.target_names == ("price",)


def test_a_quantile_is_predicted_at_its_level(houses):
    options = Options(str(houses), hidden=(8,), epochs=80, loss="quantile:0.9", test=0.0)
    experiment = prepare(options)
    *_, last = experiment.records()
    X, y = load_splits(options)[1].train
    report = report_amounts(experiment.trained(last.layers), experiment.backend, X, y)
    assert report.share_below == pytest.approx(0.9, abs=0.06)


def test_losses_are_built_from_the_names_and_numbers_of_options():
    assert build_loss("squared_error") == LOSSES["squared"]
    assert build_loss("absolute_error") == LOSSES["absolute"]
    assert build_loss("huber:1.35") == huber(1.35)
    assert build_loss("quantile:0.9") == quantile(0.9)
    assert build_loss("quantile") == quantile(0.5)
    for text, message in [
        ("hinge", "loss is 'hinge', but must be one of: softmax, squared_error"),
        ("poisson:2", "poisson takes no number: huber and quantile do"),
        ("quantile:2", "loss is 'quantile:2': quantile is 2.0, but must be a number above 0 and below 1"),
        ("huber:wide", "'wide' is no number"),
    ]:
        with pytest.raises(InputError, match=message):
            build_loss(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "huber", "task": "classification"}, "loss huber is one of a regression, but the task is class"),
        ({"loss": "softmax", "task": "regression"}, "loss softmax is one of a classification, but the task is regr"),
        ({"task": "ranking"}, "task is 'ranking'"),
        ({"class_weight": "rare"}, "class_weight is 'rare', but must be one of: none, balanced"),
        ({"class_weight": "balanced", "task": "regression"}, "a regression has no classes: leave it out"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        check_options(Options(**options))


def test_a_loss_decides_the_task(houses):
    assert prepare(Options(str(houses), loss="huber")).options.task == "regression"
    with pytest.raises(InputError, match="a regression has no classes"):
        prepare(Options(str(houses), class_weight="balanced"))


def test_earlier_runs_were_classifications_and_keep_their_fingerprint():
    before = {
        name: value for name, value in Options().to_json().items() if name not in {"task", "loss", "class_weight"}
    }
    options = Options.from_json(before)
    assert options.task == "classification"
    assert options_sha256(options) == options_sha256(
        replace(options, **{n: LATER[n] for n in ("loss", "class_weight")})
    )
    assert options_sha256(options) != options_sha256(replace(options, task="regression"))


def test_a_table_of_amounts_goes_through_every_command(cli, houses, tmp_path):
    code, out, err = cli("train", houses, "--hidden", "8", "--epochs", "30", "--batch-size", "8", "--out", "run")
    assert code == 0
    assert "Task: regression, as price holds more than 20 different whole numbers (--task classification" in err
    assert "epoch 30/30: train loss" in err
    assert "test R2" in out
    rows = RunFolder(tmp_path / "run").rows()
    assert {"train_r2", "test_rmse", "validation_mae"} <= set(rows[-1])
    assert "train_accuracy" not in rows[-1]
    code, out, _ = cli("evaluate", "run")
    assert code == 0
    assert f"houses, test: R2 {rows[-1]['test_r2']:.4f}, RMSE" in out
    assert "in the unit of price" in out
    names = {"residuals.png", "importance.png", "importance.csv"}
    assert names <= {file.name for file in (tmp_path / "run").iterdir()}
    code, out, _ = cli("predict", "run", houses)
    predicted = [float(line) for line in out.splitlines()[1:]]
    assert len(predicted) == 200
    truth = np.loadtxt(houses, delimiter=",", skiprows=1)
    assert r2_score(truth[:, 3], predicted) > 0.5
    code, _, err = cli("predict", "run", houses, "--proba")
    assert code == 2
    assert "has no probabilities" in err
    code, out, _ = cli("show", "run")
    assert code == 0
    assert "price, in the units of the training data" in " ".join(out.split())
    assert json.loads(cli("show", "run", "--json")[1])["task"] == "regression"
    assert cli("export", "run", "model.npz")[0] == 0
    assert cli("evaluate", "run", houses, "--out", "c.png")[0] == 0
    assert {"c.png", "c-importance.png", "c-importance.csv"} <= {file.name for file in tmp_path.iterdir()}
    assert cli("evaluate", "run", houses, "--out", "c.png")[0] == 2


def test_a_regression_is_resumed_to_the_same_weights(cli, houses, tmp_path, monkeypatch):
    assert cli("train", houses, *QUICK, "--patience", "3", "--out", "whole")[0] == 0
    monkeypatch.setattr("xpmlp.cli._run.Run._save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli("train", houses, *QUICK, "--patience", "3", "--out", "cut")[0] == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert cli("train", "--resume", "cut", "--quiet")[0] == 0
    one, other = (load_model(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    np.testing.assert_array_equal(one.layers[0].W, other.layers[0].W)


def test_a_search_of_amounts_ranks_by_r2(cli, houses, tmp_path):
    (tmp_path / "grid.toml").write_text('loss = ["squared_error", "quantile:0.9"]\n')
    code, out, _ = cli("search", houses, "--grid", "grid.toml", *QUICK[:-1], "--jobs", "1", "--out", "found")
    assert code == 0
    assert "by their R2 on the validation part" in out
    assert "test R2 of the best" in out
    rows = list(csv.DictReader((tmp_path / "found" / "results.csv").read_text().splitlines()))
    values = [float(row["validation_r2"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert set(json.loads((tmp_path / "found" / "search.json").read_text())["winner"]["test"]) == {
        "loss",
        "r2",
        "rmse",
        "mae",
    }


def test_a_search_for_a_quantile_ranks_by_its_loss_which_its_figure_shows(cli, houses, tmp_path, monkeypatch):
    drawn, draw = [], _results.parallel_figure
    monkeypatch.setattr(
        _results, "parallel_figure", lambda *a, **more: drawn.append((*a[1:3], more)) or draw(*a, **more)
    )
    (tmp_path / "grid.toml").write_text("hidden = [2, 8, 32]\n")
    loss = ["--loss", "quantile:0.9", "--epochs", "10", "--batch-size", "16"]
    code, out, _ = cli("search", houses, "--grid", "grid.toml", *loss, "--jobs", "1", "--out", "found")
    assert code == 0
    assert "by their loss on the validation part" in out
    rows = list(csv.DictReader((tmp_path / "found" / "results.csv").read_text().splitlines()))
    losses = [float(row["validation_loss"]) for row in rows]
    assert losses == sorted(losses)
    ((scores, measure, more),) = drawn
    assert (measure, more) == ("validation loss", {"lower_is_better": True})
    np.testing.assert_allclose(scores, losses, rtol=1e-4)


def test_amounts_on_disk_are_learnt_as_those_in_memory(cli, tmp_path, rng):
    X = rng.normal(size=(600, 3))
    y = 1e5 + 1e4 * X[:, 0]
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "X.npy", X)
    np.save(tmp_path / "data" / "y.npy", y)
    few = ["--hidden", "8", "--epochs", "20", "--batch-size", "16", "--learning-rate", "0.01", "--quiet"]
    assert cli("train", "data", *few, "--out", "run")[0] == 0
    row = RunFolder(tmp_path / "run").rows()[-1]
    assert row["test_r2"] > 0.9
    code, out, _ = cli("evaluate", "run")
    assert code == 0
    assert f"data, test: R2 {row['test_r2']:.4f}, RMSE" in out
    model = load_model(tmp_path / "run" / "model.safetensors")
    assert r2_score(y, model.predict(X)) == pytest.approx(row["train_r2"], abs=0.02)
    code, _, err = cli("train", "data", "--task", "classification", *QUICK)
    assert code == 2
    assert "is no class label" in err


def test_a_training_that_is_no_better_than_the_mean_is_warned_of(cli, houses):
    code, _, err = cli("train", houses, "--learning-rate", "1e-9", *QUICK)
    assert code == 0
    assert "no better than to predict the mean" in err


def test_a_class_that_is_never_predicted_is_warned_of_and_balanced_weights_find_it(cli, rare, tmp_path):
    few = ["--hidden", "", "--epochs", "60", "--learning-rate", "0.01", "--optimizer", "adam", "--quiet"]
    code, _, err = cli("train", rare, *few, "--out", "plain")
    assert code == 0
    assert err.count("class 'fraud' is never predicted") == 1
    code, out, err = cli("evaluate", "plain", "--part", "train")
    assert "balanced accuracy 0.5000" in out
    assert err.count("class 'fraud' is never predicted") == 1
    code, _, err = cli("train", rare, *few, "--class-weight", "balanced", "--out", "weighted")
    assert (code, err) == (0, "")
    model = load_model(tmp_path / "weighted" / "model.safetensors")
    X, y = load_splits(Options(str(rare)))[1].train
    assert balanced_accuracy_score(y, model.predict(X)) > 0.7


def test_balanced_weights_give_every_class_the_same_weight_in_training(rare, backend_name):
    if backend_name == "numpy-readonly":
        pytest.skip("numpy-readonly is a backend of the tests alone")
    experiment = prepare(Options(str(rare), class_weight="balanced", hidden=(4,), epochs=1, backend=backend_name))
    weights = experiment.backend.to_numpy(experiment.weights)[:, 0]
    y = load_splits(experiment.options)[1].train[1]
    totals = [weights[y == label].sum() for label in ("fine", "fraud")]
    assert totals == pytest.approx([y.size / 2, y.size / 2], rel=1e-5)
    (record,) = experiment.records()
    assert np.isfinite(record.loss)


def test_a_report_of_classes_is_scikit_learns(rare):
    from sklearn.metrics import average_precision_score, roc_auc_score

    options = Options(str(rare), hidden=(8,), epochs=10)
    experiment = prepare(options)
    *_, last = experiment.records()
    model, (X, y) = experiment.trained(last.layers), load_splits(options)[1].train
    report = report_classes(model, experiment.backend, X, y)
    p = model.predict_proba(X)[:, 1]
    assert report.average_precision[1] == pytest.approx(average_precision_score(y == "fraud", p))
    assert report.roc[1].area == pytest.approx(roc_auc_score(y == "fraud", p))
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(y, model.predict(X)))
    assert report.calibration.meaning == "probability of fraud"
    assert report.calibration.predicted.mean() == pytest.approx(p.mean(), abs=0.02)
    alone = report_classes(model, experiment.backend, X[y == "fine"], y[y == "fine"])
    assert alone.roc == [None, None]
    assert np.isnan(alone.average_precision[1])


def test_a_column_that_matters_is_important_and_noise_is_not(houses):
    options = Options(str(houses), hidden=(16,), epochs=100)
    experiment = prepare(options)
    *_, last = experiment.records()
    model = experiment.trained(last.layers)
    found = permutation_importances(model, experiment.backend, *load_splits(options)[1].test)
    assert [each.feature for each in found] == ["area", "age", "noise"]
    assert found[0].mean > 0.5
    assert abs(found[2].mean) < 0.1


def test_the_lines_of_the_page_on_learning_run_as_they_are_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parent.parent / "docs" / "learning.md").read_text(encoding="utf-8")
    names = {}
    for snippet in snippets_of(page):
        run(snippet, "learning.md", names)
    assert names["last"].scores["test"].r2 > 0.8
