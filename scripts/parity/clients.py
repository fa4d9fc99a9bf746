"""What other packages do with scikit-learn's MLP: each use is run with its classes and with ours.

A use takes a module with `MLPClassifier` and `MLPRegressor`, and returns what is compared: numbers, arrays, words, or
lists and dicts of these. It imports its package itself, so that one that is missing is told of, and no other suffers.
"""

# ruff: noqa: PLC0415 - a use imports its package itself, so that a missing one stops that use alone

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, minmax_scale, scale

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["USES", "Use"]


class Use(NamedTuple):
    """One use of the estimators by a package: its distribution, its name, and what it does."""

    client: str
    name: str
    run: Callable[[ModuleType], Any]


USES: list[Use] = []

IRIS, SPECIES = load_iris(return_X_y=True)
X, y = scale(IRIS)[::2], SPECIES[::2]
PATIENTS, PROGRESS = load_diabetes(return_X_y=True)
R, t = minmax_scale(PATIENTS)[:90], scale(PROGRESS)[:90]
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 40, "learning_rate_init": 0.02, "random_state": 0}


def use(client: str) -> Callable[[Callable[[ModuleType], Any]], Callable[[ModuleType], Any]]:
    """Register a function as a use of a client."""

    def register(function: Callable[[ModuleType], Any]) -> Callable[[ModuleType], Any]:
        USES.append(Use(client, function.__name__.partition("_")[2].replace("_", " "), function))
        return function

    return register


def classifier(mlp: ModuleType, **params: Any) -> Any:
    return mlp.MLPClassifier(**{**SMALL, **params})


def regressor(mlp: ModuleType, **params: Any) -> Any:
    return mlp.MLPRegressor(**{**SMALL, **params})


# shap and lime


@use("shap")
def shap_kernel_explainer(mlp: ModuleType) -> Any:
    import shap

    np.random.seed(0)  # noqa: NPY002 - shap draws from it
    return shap.KernelExplainer(classifier(mlp).fit(X, y).predict_proba, X[:8]).shap_values(X[:2], silent=True)


@use("shap")
def shap_permutation_explainer(mlp: ModuleType) -> Any:
    import shap

    explained = shap.explainers.Permutation(regressor(mlp).fit(R, t).predict, R[:8], seed=0)(R[:3], silent=True)
    return {"values": explained.values, "base values": explained.base_values}


@use("lime")
def lime_of_a_classifier(mlp: ModuleType) -> Any:
    from lime.lime_tabular import LimeTabularExplainer

    explainer = LimeTabularExplainer(X, random_state=0, discretize_continuous=False)
    explained = explainer.explain_instance(X[3], classifier(mlp).fit(X, y).predict_proba, num_samples=200, top_labels=3)
    return {str(label): dict(explained.as_list(label)) for label in range(3)}


@use("lime")
def lime_of_a_regressor(mlp: ModuleType) -> Any:
    from lime.lime_tabular import LimeTabularExplainer

    explainer = LimeTabularExplainer(R, mode="regression", random_state=0)
    return dict(explainer.explain_instance(R[3], regressor(mlp).fit(R, t).predict, num_samples=200).as_list())


# Optuna


@use("optuna")
def optuna_study(mlp: ModuleType) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> float:
        params = {
            "hidden_layer_sizes": trial.suggest_int("units", 2, 10),
            "learning_rate_init": trial.suggest_float("rate", 1e-3, 1e-1, log=True),
            "activation": trial.suggest_categorical("activation", ["relu", "tanh"]),
        }
        return float(cross_val_score(classifier(mlp, **params), X, y, cv=3).mean())

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=3))
    study.optimize(objective, n_trials=6)
    return {"best": study.best_params, "values": [trial.value for trial in study.trials]}


@use("optuna")
def optuna_pruning_of_partial_fit(mlp: ModuleType) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> float:
        model = classifier(mlp, learning_rate_init=trial.suggest_float("rate", 1e-4, 1e-1, log=True))
        for epoch in range(10):
            model.partial_fit(X, y, classes=[0, 1, 2])
            trial.report(model.score(X, y), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(model.score(X, y))

    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=2)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
    study.optimize(objective, n_trials=8)
    return [[trial.state.name, trial.value or 0.0] for trial in study.trials]


# imbalanced-learn: 10 of one class, 25 of another


def _imbalanced() -> tuple[np.ndarray, np.ndarray]:
    kept = np.r_[0:10, 25:50]
    return X[kept], y[kept]


@use("imbalanced-learn")
def imblearn_pipelines_that_resample(mlp: ModuleType) -> Any:
    from imblearn.over_sampling import SMOTE, RandomOverSampler
    from imblearn.pipeline import make_pipeline as make_resampling_pipeline
    from imblearn.under_sampling import RandomUnderSampler

    A, b = _imbalanced()
    samplers = RandomOverSampler(random_state=0), SMOTE(random_state=0), RandomUnderSampler(random_state=0)
    return [make_resampling_pipeline(each, classifier(mlp)).fit(A, b).predict_proba(A) for each in samplers]


@use("imbalanced-learn")
def imblearn_ensembles(mlp: ModuleType) -> Any:
    from imblearn.ensemble import BalancedBaggingClassifier, EasyEnsembleClassifier, RUSBoostClassifier

    A, b = _imbalanced()
    return [
        kind(estimator=estimator, n_estimators=3, random_state=0).fit(A, b).predict_proba(A)
        for kind, estimator in (
            (BalancedBaggingClassifier, classifier(mlp)),
            (RUSBoostClassifier, classifier(mlp)),
            (EasyEnsembleClassifier, classifier(mlp)),
        )
    ]


# mlxtend


@use("mlxtend")
def mlxtend_feature_selection(mlp: ModuleType) -> Any:
    from mlxtend.feature_selection import SequentialFeatureSelector

    selector = SequentialFeatureSelector(classifier(mlp), k_features=2, cv=3).fit(X, y)
    return {"features": list(selector.k_feature_idx_), "score": selector.k_score_}


@use("mlxtend")
def mlxtend_ensembles(mlp: ModuleType) -> Any:
    from mlxtend.classifier import EnsembleVoteClassifier, StackingCVClassifier
    from mlxtend.regressor import StackingCVRegressor

    models = [classifier(mlp), classifier(mlp, activation="tanh")]
    stacked = StackingCVRegressor([regressor(mlp)], regressor(mlp, max_iter=20), cv=3, random_state=0, shuffle=False)
    return {
        "votes": EnsembleVoteClassifier(models, voting="soft").fit(X, y).predict_proba(X),
        "stacked": StackingCVClassifier(models, classifier(mlp), cv=3, random_state=0).fit(X, y).predict_proba(X),
        "regression": stacked.fit(R, t).predict(R),
    }


@use("mlxtend")
def mlxtend_evaluation(mlp: ModuleType) -> Any:
    from mlxtend.evaluate import bias_variance_decomp, feature_importance_permutation

    model = classifier(mlp).fit(X, y)
    importance = feature_importance_permutation(X, y, model.predict, "accuracy", num_rounds=3, seed=0)
    return [*importance, *bias_variance_decomp(classifier(mlp), X, y, X, y, num_rounds=3, random_seed=0)]


@use("mlxtend")
def mlxtend_decision_regions(mlp: ModuleType) -> Any:
    from matplotlib.figure import Figure
    from mlxtend.plotting import plot_decision_regions

    axes = Figure().add_subplot()
    plot_decision_regions(X[:, :2], y, clf=classifier(mlp).fit(X[:, :2], y), ax=axes)
    return [np.concatenate([path.vertices for each in axes.collections for path in each.get_paths()])]


# Ways out: skops, skl2onnx, joblib


@use("skops")
def skops_round_trip(mlp: ModuleType) -> Any:
    from skops import io as skops_io

    found = []
    for model, A, b in ((classifier(mlp), X, y), (make_pipeline(StandardScaler(), regressor(mlp)), R, t)):
        content = skops_io.dumps(model.fit(A, b))
        untrusted = skops_io.get_untrusted_types(data=content)
        found.append(skops_io.loads(content, trusted=untrusted).predict(A))
    return found


@use("skops")
def skops_untrusted_types(mlp: ModuleType) -> Any:
    from skops import io as skops_io

    return skops_io.get_untrusted_types(data=skops_io.dumps(classifier(mlp).fit(X, y)))


@use("skops")
def skops_model_card(mlp: ModuleType) -> Any:
    from skops.card import Card

    return "MLPClassifier" in Card(classifier(mlp).fit(X, y)).render()


def _onnx_outputs(model: Any, rows: np.ndarray, **options: Any) -> list[Any]:
    import onnxruntime
    from skl2onnx import to_onnx

    onnxruntime.set_default_logger_severity(3)
    rows = rows.astype(np.float32)
    session = onnxruntime.InferenceSession(
        to_onnx(model, rows[:1], **options).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {session.get_inputs()[0].name: rows}))


@use("skl2onnx")
def skl2onnx_classifiers(mlp: ModuleType) -> Any:
    labels = np.array(["a", "b", "c"])[y]
    return [
        _onnx_outputs(classifier(mlp, activation=activation).fit(X, target), X, options={"zipmap": False})
        for activation in ("relu", "tanh", "logistic", "identity")
        for target in (y, labels, y > 0, np.eye(3, dtype=int)[y])
    ]


@use("skl2onnx")
def skl2onnx_regressors(mlp: ModuleType) -> Any:
    return _onnx_outputs(regressor(mlp).fit(R, t), R)  # it turns several outputs of scikit-learn's into one column


@use("skl2onnx")
def skl2onnx_pipelines(mlp: ModuleType) -> Any:
    zipped = {"zipmap": False}
    return [
        _onnx_outputs(make_pipeline(StandardScaler(), classifier(mlp)).fit(X, y), X, options=zipped),
        _onnx_outputs(make_pipeline(StandardScaler(), regressor(mlp)).fit(R, t), R),
    ]


@use("joblib")
def joblib_dump_and_load(mlp: ModuleType) -> Any:
    import joblib

    model = classifier(mlp, early_stopping=True).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        joblib.dump(model, path, compress=3)
        loaded = joblib.load(path)
        joblib.dump(model, path)
        mapped = joblib.load(path, mmap_mode="r")
        return [loaded.predict_proba(X), mapped.predict_proba(X), joblib.hash(loaded) == joblib.hash(model)]


@use("joblib")
def joblib_parallel(mlp: ModuleType) -> Any:
    import joblib

    model = classifier(mlp).fit(X, y)
    found = [
        joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(model.predict_proba)(part) for part in (X[:9], X[9:]))
        for backend in ("loky", "threading")
    ]
    return [found, joblib.Parallel(n_jobs=2)(joblib.delayed(classifier(mlp).fit)(X, b) for b in (y, -y))[1].coefs_]


@use("joblib")
def joblib_memory(mlp: ModuleType) -> Any:
    import joblib

    with tempfile.TemporaryDirectory() as folder:
        memory = joblib.Memory(folder, verbose=0)
        fits = [make_pipeline(StandardScaler(), classifier(mlp), memory=memory).fit(X, y) for _ in range(2)]
        return [each.predict_proba(X) for each in fits]


# MAPIE and yellowbrick


@use("MAPIE")
def mapie_classification(mlp: ModuleType) -> Any:
    from mapie.classification import CrossConformalClassifier, SplitConformalClassifier

    split = SplitConformalClassifier(classifier(mlp).fit(X[::2], y[::2]), prefit=True, random_state=0)
    crossed = CrossConformalClassifier(classifier(mlp), cv=3, random_state=0)
    return [
        split.conformalize(X[1::2], y[1::2]).predict_set(X),
        crossed.fit_conformalize(X, y).predict_set(X),
    ]


@use("MAPIE")
def mapie_regression(mlp: ModuleType) -> Any:
    from mapie.regression import CrossConformalRegressor, JackknifeAfterBootstrapRegressor, SplitConformalRegressor

    split = SplitConformalRegressor(regressor(mlp), prefit=False)
    others = (
        CrossConformalRegressor(regressor(mlp), cv=3, random_state=0),
        JackknifeAfterBootstrapRegressor(regressor(mlp), resampling=4, random_state=0),
    )
    return [
        split.fit(R[::2], t[::2]).conformalize(R[1::2], t[1::2]).predict_interval(R),
        *(each.fit_conformalize(R, t).predict_interval(R) for each in others),
    ]


@use("yellowbrick")
def yellowbrick_classifier_reports(mlp: ModuleType) -> Any:
    from yellowbrick.classifier import ROCAUC, ClassificationReport, ConfusionMatrix

    return [
        kind(classifier(mlp), force_model=True).fit(X, y).score(X, y)  # it does not know scikit-learn's newer tags
        for kind in (ClassificationReport, ConfusionMatrix, ROCAUC)
    ]


@use("yellowbrick")
def yellowbrick_regressor_plots(mlp: ModuleType) -> Any:
    from yellowbrick.regressor import PredictionError, ResidualsPlot

    return [kind(regressor(mlp), force_model=True).fit(R, t).score(R, t) for kind in (ResidualsPlot, PredictionError)]


@use("yellowbrick")
def yellowbrick_curves(mlp: ModuleType) -> Any:
    from yellowbrick.model_selection import LearningCurve, ValidationCurve

    learning = LearningCurve(classifier(mlp), cv=3, random_state=0).fit(X, y)
    validation = ValidationCurve(classifier(mlp), param_name="alpha", param_range=[1e-4, 1.0], cv=3).fit(X, y)
    return [learning.test_scores_, validation.test_scores_]


# Dask


@use("dask")
def dask_map_blocks(mlp: ModuleType) -> Any:
    import dask.array as da

    model = classifier(mlp).fit(X, y)
    blocks = da.from_array(X, chunks=(20, 4))
    predicted = blocks.map_blocks(model.predict, drop_axis=1, dtype=int)
    probabilities = blocks.map_blocks(model.predict_proba, chunks=(blocks.chunks[0], (3,)), dtype=float)
    return [predicted.compute(scheduler="threads"), probabilities.compute(scheduler="processes", num_workers=1)]


@use("dask-ml")
def daskml_parallel_post_fit(mlp: ModuleType) -> Any:
    import dask.array as da
    from dask_ml.wrappers import ParallelPostFit

    wrapped = ParallelPostFit(classifier(mlp)).fit(X, y)
    blocks = da.from_array(X, chunks=(20, 4))
    return [wrapped.predict(blocks).compute(), wrapped.predict_proba(blocks).compute(), wrapped.score(X, y)]


@use("dask-ml")
def daskml_incremental(mlp: ModuleType) -> Any:
    import dask.array as da
    from dask_ml.wrappers import Incremental

    blocks = da.from_array(X, chunks=(25, 4)), da.from_array(y, chunks=25)
    model = Incremental(classifier(mlp), random_state=0, shuffle_blocks=False).fit(*blocks, classes=[0, 1, 2])
    return model.estimator_.predict_proba(X)


# scikit-learn's own meta-estimators and tools


@use("scikit-learn")
def sklearn_ensembles(mlp: ModuleType) -> Any:
    from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier

    named = [("relu", classifier(mlp)), ("tanh", classifier(mlp, activation="tanh"))]
    return [
        each.fit(X, y).predict_proba(X)
        for each in (
            AdaBoostClassifier(classifier(mlp), n_estimators=3, random_state=0),
            BaggingClassifier(classifier(mlp), n_estimators=3, random_state=0),
            StackingClassifier(named, cv=3),
            VotingClassifier(named, voting="soft"),
        )
    ]


@use("scikit-learn")
def sklearn_bagging_with_early_stopping(mlp: ModuleType) -> Any:
    from sklearn.ensemble import BaggingClassifier

    model = classifier(mlp, early_stopping=True, validation_fraction=0.03)  # 3 rows, which may all weigh 0
    return BaggingClassifier(model, n_estimators=40, random_state=0).fit(X, y).predict(X)


@use("scikit-learn")
def sklearn_several_outputs(mlp: ModuleType) -> Any:
    from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, RegressorChain

    T = np.c_[y > 0, y > 1].astype(int)
    return [
        OneVsRestClassifier(classifier(mlp)).fit(X, y).predict_proba(X),
        OneVsOneClassifier(classifier(mlp)).fit(X, y).predict(X),
        MultiOutputClassifier(classifier(mlp)).fit(X, T).predict(X),
        ClassifierChain(classifier(mlp), random_state=0).fit(X, T).predict_proba(X),
        RegressorChain(regressor(mlp)).fit(R, np.c_[t, -t]).predict(R),
    ]


@use("scikit-learn")
def sklearn_calibration_and_thresholds(mlp: ModuleType) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import TunedThresholdClassifierCV

    return [
        CalibratedClassifierCV(classifier(mlp), cv=3).fit(X, y).predict_proba(X),
        CalibratedClassifierCV(FrozenEstimator(classifier(mlp).fit(X, y))).fit(X, y).predict_proba(X),
        TunedThresholdClassifierCV(classifier(mlp), cv=3, random_state=0).fit(X, y > 0).best_threshold_,
    ]


@use("scikit-learn")
def sklearn_searches(mlp: ModuleType) -> Any:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - what it is for
    from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, learning_curve

    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (8,)]}
    halving = HalvingGridSearchCV(classifier(mlp), grid, resource="max_iter", max_resources=30, random_state=0, cv=3)
    sizes, *curves = learning_curve(
        classifier(mlp), X, y, cv=3, exploit_incremental_learning=True, random_state=0, shuffle=True
    )
    return [
        GridSearchCV(classifier(mlp), grid, cv=3).fit(X, y).cv_results_["mean_test_score"],
        halving.fit(X, y).cv_results_["mean_test_score"],
        sizes,
        *curves,
    ]


@use("scikit-learn")
def sklearn_inspection(mlp: ModuleType) -> Any:
    from sklearn.inspection import partial_dependence, permutation_importance

    model = regressor(mlp).fit(R, t)
    return [
        permutation_importance(model, R, t, n_repeats=3, random_state=0).importances,
        partial_dependence(model, R, [0], grid_resolution=5)["average"],
    ]


@use("scikit-learn")
def sklearn_routing_of_weights(mlp: ModuleType) -> Any:
    from sklearn import config_context
    from sklearn.model_selection import cross_validate

    weights = np.linspace(0.5, 2.0, len(y))
    with config_context(enable_metadata_routing=True):
        model = classifier(mlp).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), model)
        return cross_validate(pipeline, X, y, cv=3, params={"sample_weight": weights}, error_score="raise")[
            "test_score"
        ]


@use("scikit-learn")
def sklearn_transformed_target(mlp: ModuleType) -> Any:
    from sklearn.compose import TransformedTargetRegressor

    model = TransformedTargetRegressor(regressor(mlp, solver="lbfgs"), transformer=StandardScaler())
    return model.fit(R, 1e6 + 1e3 * t).predict(R)


@use("scikit-learn")
def sklearn_float32_lbfgs_of_raw_targets(mlp: ModuleType) -> Any:
    model = regressor(mlp, solver="lbfgs", max_iter=300)
    with warnings.catch_warnings():  # whether it ends by its tolerance, or by the rounding of float32, is chance
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(R.astype(np.float32), 1e6 + t)
    return bool(model.score(R.astype(np.float32), 1e6 + t) > 0.3)


@use("pandas")
def pandas_frames(mlp: ModuleType) -> Any:
    import pandas as pd

    frame = pd.read_csv(io.StringIO("\n".join(["a,b,c,d", *(",".join(map(str, row)) for row in X)])))
    model = classifier(mlp).fit(frame, pd.Series(y).map({0: "setosa", 1: "versicolor", 2: "virginica"}))
    return [model.predict(frame), model.predict_proba(frame.convert_dtypes()), model.feature_names_in_]
