"""Regression with a mean and a variance for each example, from the loss to the command line."""

from __future__ import annotations

import csv
import pickle

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.utils import shuffle

from xpmlp import DeepEnsembleRegressor, InputError, MLPRegressor, Model, Network, Scaling, initialize
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.nn.losses import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def noisy():
    """Examples whose targets lie the further from a sine the further x is from 0: x, y, and how far."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(1500, 1))
    deviation = 0.1 + 0.3 * np.abs(x[:, 0])
    return x, np.sin(2 * x[:, 0]) + deviation * rng.normal(size=1500), deviation


def regressor(**parameters):
    return MLPRegressor("gaussian", (40,), max_iter=150, learning_rate_init=0.01, random_state=0, **parameters)


@pytest.fixture(scope="module")
def fitted(noisy):
    x, y, _ = noisy
    return regressor().fit(x, y)


def test_means_and_deviations_are_those_that_the_data_were_drawn_with(noisy, fitted):
    x, y, deviation = noisy
    assert np.abs(fitted.predict(x) - np.sin(2 * x[:, 0])).mean() < 0.08
    assert np.abs(fitted.predict_std(x) - deviation).mean() < 0.05
    score = stats.norm.logpdf(y, fitted.predict(x), fitted.predict_std(x)).mean()
    assert score > stats.norm.logpdf(y, fitted.predict(x), np.std(y - fitted.predict(x))).mean() + 0.1


def test_the_loss_of_a_fit_is_the_mean_negative_log_likelihood(noisy):
    x, y, _ = noisy
    model = regressor(solver="lbfgs", alpha=0.0).fit(x, y)
    expected = -stats.norm.logpdf(y, model.predict(x), model.predict_std(x)).mean()
    assert model.loss_ == pytest.approx(expected, rel=1e-9)


def test_several_targets_have_a_deviation_each_and_weights_count(noisy):
    x, y, _ = noisy
    Y, weights = np.column_stack([y, 3 * y]), np.where(x[:, 0] > 0, 1.0, 0.0)
    both = regressor().fit(x, Y, sample_weight=weights)
    assert both.predict(x).shape == both.predict_std(x).shape == Y.shape
    assert both.n_outputs_ == 2
    of_right = regressor().fit(x[weights > 0], Y[weights > 0])
    right = x[weights > 0]
    assert np.abs(both.predict_std(right) - of_right.predict_std(right)).mean() < 0.15


def test_other_losses_have_no_deviations_and_say_so():
    assert not hasattr(MLPRegressor(), "predict_std")
    with pytest.raises(AttributeError) as raised:
        MLPRegressor("huber").predict_std([[0.0]])
    assert str(raised.value.__cause__) == "predict_std needs the loss 'gaussian', but the loss is 'huber'."


def test_a_model_and_a_copy_of_the_estimator_predict_the_same_deviations(noisy, fitted):
    x, *_ = noisy
    expected = fitted.predict_std(x)
    np.testing.assert_allclose(fitted.to_model().predict_std(x), expected, rtol=1e-9)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_std(x), expected)  # noqa: S301 - of this test's own
    assert clone(fitted).get_params() == fitted.get_params()
    with pytest.raises(InputError, match="no output function like that of loss 'gaussian'"):
        fitted.to_sklearn()


def test_the_loss_itself_may_be_given(noisy, fitted):
    x, y, _ = noisy
    given = clone(fitted).set_params(loss=LOSSES["gaussian"]).fit(x, y)
    np.testing.assert_array_equal(given.predict_std(x), fitted.predict_std(x))


def test_early_stopping_scores_the_means(noisy):
    x, y, _ = noisy
    model = regressor(early_stopping=True).fit(x, y)
    assert 0.4 < model.best_validation_score_ < 1


def test_the_variance_of_an_ensemble_is_that_of_the_mixture_of_its_members(noisy):
    x, y, _ = noisy
    ensemble = DeepEnsembleRegressor("gaussian", (20,), n_estimators=3, max_iter=20, random_state=0).fit(x, y)
    at = np.array([[-1.0], [0.5], [7.0]])
    draws = [
        stats.norm.rvs(each.predict(at), each.predict_std(at), size=(200_000, 3), random_state=number)
        for number, each in enumerate(ensemble.estimators_)
    ]
    mixture, (total, expected, disagreement) = np.concatenate(draws), ensemble.variance(at)
    np.testing.assert_allclose(ensemble.predict(at), mixture.mean(axis=0), rtol=0.02, atol=0.01)
    np.testing.assert_allclose(total, mixture.var(axis=0), rtol=0.02)
    np.testing.assert_allclose(total, expected + disagreement)
    np.testing.assert_allclose(ensemble.predict_std(at) ** 2, total)
    np.testing.assert_allclose(expected, np.mean([each.predict_std(at) ** 2 for each in ensemble.estimators_], axis=0))
    assert disagreement[2] > 3 * disagreement[1]  # far from all examples


def test_an_ensemble_of_another_loss_has_its_disagreement_alone(noisy):
    x, y, _ = noisy
    ensemble = DeepEnsembleRegressor("huber", (20,), n_estimators=3, max_iter=5, random_state=0).fit(x, y)
    total, expected, disagreement = ensemble.variance(x[:4])
    np.testing.assert_array_equal(expected, 0.0)
    np.testing.assert_array_equal(total, disagreement)


def test_a_model_gives_values_and_deviations_in_the_targets_own_units(rng, backend):
    network = Network.build(3, [5], 2, loss="gaussian")
    layers, scaling = initialize(network, seed=0), Scaling(np.zeros(3), np.ones(3))
    X, targets = rng.normal(size=(6, 3)), Scaling(np.array([10.0, -5.0]), np.array([0.5, 4.0]))
    plain, scaled = Model(network, layers, None, scaling), Model(network, layers, None, scaling, target_scaling=targets)
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(scaled.predict(X, backend), plain.predict(X) / targets.scale + targets.shift, **close)
    np.testing.assert_allclose(scaled.predict_std(X, backend), plain.predict_std(X) / targets.scale, **close)


def test_a_model_of_another_loss_refuses_deviations():
    experiment = prepare(Options("circles", hidden=(2,), epochs=1))
    with pytest.raises(
        InputError, match="the model has loss 'softmax', but only 'gaussian', and ensembles of regressions"
    ):
        experiment.trained([layer for record in experiment.records() for layer in record.layers]).predict_std([[0, 0]])


def test_the_command_line_writes_deviations_beside_predictions_and_says_how_many_values_they_cover(
    cli, noisy, tmp_path
):
    x, y, deviation = noisy
    x, y, deviation = shuffle(x[:, 0], 1000 + 100 * y, 100 * deviation, random_state=0)
    table, out = tmp_path / "noisy.csv", tmp_path / "predictions.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["x", "y"], *zip(x, y, strict=True)])
    code, _, err = cli("train", table, "--loss", "gaussian", "--out", "run", "--quiet", "--learning-rate", "0.01")
    assert (code, err) == (0, "")
    code, said, _ = cli("evaluate", "run")
    (line,) = [line for line in said.splitlines() if "within 1.96 predicted deviations" in line]
    assert code == 0
    assert 0.9 < float(line.split("│")[2]) < 0.99
    assert cli("predict", "run", table, "--out", out)[0] == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["prediction", "standard_deviation"]
    assert np.abs([float(row["standard_deviation"]) for row in rows] - deviation).mean() < 12
    code, _, err = cli("export", "run", tmp_path / "noisy.skops")
    assert code == 2
    assert "scikit-learn's MLP has no variances, as loss 'gaussian' has: export to .onnx or .npz." in err
