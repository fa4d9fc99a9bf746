"""A look into trained models: first-layer weights, confusion matrix, the test images they are most wrongly sure of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import confusion_matrix

from xpmlp import load_dataset
from xpmlp.experiments.runs import RunFolder
from xpmlp.plots import confusion_figure, images_figure, weights_figure

if TYPE_CHECKING:
    from reproduction.plan import Plan
    from xpmlp import Dataset, Model

MODELS = {"final": "the report's final model", "modern-seed-0": "the modern configuration, seed 0"}
MAX_UNITS = 64
WRONG = 24


def inspect_models(plan: Plan) -> list[dict[str, Any]]:
    """Draw what there is to see of each model, from its run folder and the test images."""
    dataset = load_dataset("fashion-mnist", data_dir=plan.data_dir)
    return [
        {"run": run, "model": name, **_inspected(plan, run, name, RunFolder(plan.run(run)).load(), dataset)}
        for run, name in MODELS.items()
    ]


def most_confidently_wrong(probability: np.ndarray, y: np.ndarray, most: int) -> np.ndarray:
    """Pick the examples whose wrong class has the highest probability.

    Parameters
    ----------
    probability : ndarray of shape (n, m)
        Of each class.
    y : ndarray of shape (n,)
        The number of the true class.
    most : int
        How many to pick, if there are as many.

    Returns
    -------
    ndarray of shape (k,)
        Their rows, the most confident first; rows with equal probability in their order.
    """
    predicted = np.argmax(probability, axis=1)
    wrong = np.flatnonzero(predicted != y)
    confidence = probability[wrong, predicted[wrong]]
    return wrong[np.argsort(-confidence, kind="stable")[:most]]


def _inspected(plan: Plan, run: str, name: str, model: Model, dataset: Dataset) -> dict[str, Any]:
    (X, y), names, shape = dataset.test, dataset.class_names, dataset.image_shape
    probability = model.predict_proba(X, plan.open(model.dtype))
    predicted = np.argmax(probability, axis=1)
    matrix = confusion_matrix(y, predicted, labels=model.classes)
    W = np.asarray(model.layers[0].W)
    shown = min(W.shape[1], MAX_UNITS)
    units = f"all {shown} units" if shown == W.shape[1] else f"the first {shown} of {W.shape[1]} units"
    columns = 8 if shown % 8 == 0 else 10
    picked = most_confidently_wrong(probability, y, WRONG)
    captions = [f"{names[y[i]]}\ntaken for {names[predicted[i]]}\n{probability[i, predicted[i]]:.4f}" for i in picked]
    return {
        "test_accuracy": float(np.mean(predicted == y)),
        "confusion": matrix.tolist(),
        "class_names": list(names),
        "most_confused": _most_confused(matrix, names),
        "units": units,
        "wrong": [
            {
                "image": int(i),
                "true": names[y[i]],
                "predicted": names[predicted[i]],
                "probability": float(probability[i, predicted[i]]),
            }
            for i in picked
        ],
        "weights_picture": plan.show(
            weights_figure(W[:, :shown], shape, f"first-layer weights of {name}: {units}", columns),
            f"figures/weights-{run}.png",
            f"First-layer weights as images, {units} of {name}.",
        ),
        "confusion_picture": plan.show(
            confusion_figure(matrix, names, f"{len(y):,} test images: {name}"),
            f"figures/confusion-{run}.png",
            f"Confusion matrix over the test images: {name}.",
        ),
        "wrong_picture": plan.show(
            images_figure(X[picked], captions, shape, f"most confidently wrong test images: {name}"),
            f"figures/wrong-{run}.png",
            f"The test images that are wrong with the highest probability: {name}.",
        ),
    }


def _most_confused(matrix: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """Find the largest entry beside the diagonal."""
    off = matrix - np.diag(np.diag(matrix))
    true, predicted = np.unravel_index(np.argmax(off), off.shape)
    return {"true": names[true], "predicted": names[predicted], "images": int(off[true, predicted])}
