"""Model cards: all that is known of a run or a model file, as plain values."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from xpmlp.experiments.options import TABLE, Options
from xpmlp.experiments.runs import (
    PARTS,
    RunFolder,
    became_values,
    model_at,
    network_values,
    target_scaling_values,
)
from xpmlp.models.files import load_model
from xpmlp.nn.losses import LOSSES, output_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xpmlp.models.model import Model
    from xpmlp.nn.activations import Activation
    from xpmlp.nn.losses import Loss

NOT_RECIPE = {
    "dataset",
    "target",
    "task",
    "data_dir",
    "hidden",
    "activation",
    "dropout",
    "input_dropout",
    "frequencies",
}  # said elsewhere
NOT_RECIPE |= {"backend", "device", "dtype", "scaling"}
NOT_RECIPE |= {option.name for option in fields(Options) if option.metadata["rich_help_panel"] == TABLE}


def card_of(path: Path, parts: Sequence[Activation | Loss] = ()) -> dict[str, Any]:
    """Describe a run, whether it is finished or not, or a model file.

    Parameters
    ----------
    path : Path
        The run's folder, or the file.
    parts : sequence of Activation or Loss
        As for `load_model`.

    Returns
    -------
    dict
        Plain values, as JSON has them: ``path``, ``state`` ("finished", "unfinished" or "model"), ``network``,
        ``task``, ``classes`` (None for a regression), ``class_names``, ``feature_names``, ``target_names``,
        ``target_scaling`` (the ``mean`` and the ``deviation`` that each target of a regression had in training, or
        None where it was not scaled), ``preprocessing``, ``became`` (of a table: what became of each of its
        columns, by name; else None) and ``dtype``; of a run also ``epochs``,
        ``metrics`` (the ``last`` row of ``metrics.csv``, the ``best`` one, and what it is ``best_by``), ``data``,
        ``recipe``, ``backend``, ``versions``, ``machine`` and ``started``.

    Raises
    ------
    InputError
        Where there is neither, or what is there cannot be read.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        return {"path": str(path), "state": "model", **_of_model(model_at(path, parts))}
    card = {"path": str(path), "state": "finished" if folder.is_finished() else "unfinished"}
    card |= folder.configured(_of_configuration)
    if folder.model.exists():
        card |= _of_model(load_model(folder.model, parts))
    return card | _of_metrics(folder.rows())


def _of_model(model: Model) -> dict[str, Any]:
    return {
        "network": _network(network_values(model)),
        "task": model.task,
        "classes": None if model.classes is None else model.classes.tolist(),
        "class_names": model.class_names and list(model.class_names),
        "feature_names": model.feature_names and list(model.feature_names),
        "target_names": model.target_names and list(model.target_names),
        "target_scaling": target_scaling_values(model),
        "preprocessing": str(model.preparation or model.scaling),
        "became": became_values(model),
        "dtype": model.dtype,
    }


def _of_configuration(config: dict[str, Any]) -> dict[str, Any]:
    data, options = config["data"], config["options"]
    return {
        "network": _network(config["network"]),
        "task": data.get("task", "classification"),
        "classes": data["classes"],
        "class_names": data.get("class_names"),
        "feature_names": data.get("feature_names"),
        "target_names": data.get("target_names"),
        "target_scaling": data.get("target_scaling"),
        "preprocessing": data.get("preprocessing", options["scaling"]),
        "became": data.get("became"),
        "dtype": config["backend"]["dtype"],
        "epochs": options["epochs"],
        "data": {
            "name": data["name"],
            "features": data["features"],
            "columns": data.get("columns", []),
            "examples": {part: data["examples"][part] for part in PARTS if part in data["examples"]},
            "sha256": data.get("sha256"),
        },
        "recipe": {name: value for name, value in options.items() if name not in NOT_RECIPE},
        "backend": config["backend"],
        "versions": config["versions"],
        "machine": config["machine"],
        "started": config["started"],
    }


def _network(values: dict[str, Any]) -> dict[str, Any]:
    sizes, loss = values["sizes"], values["loss"]
    functions = [*values["activations"], output_name(LOSSES[loss]) if loss in LOSSES else f"output of {loss}"]
    embedded, frequencies = values.get("embedded", 0), values.get("frequencies", 0)  # which earlier runs have not
    n_cosines = embedded * frequencies
    layers = [
        {"inputs": n, "dropout": rate, "units": m, "activation": function, "parameters": (n + 1) * m}
        for n, m, rate, function in zip(
            [sizes[0] + n_cosines, *sizes[1:-1]], sizes[1:], values["dropout"], functions, strict=True
        )
    ]
    embedding = {"inputs": embedded, "frequencies": frequencies, "parameters": 2 * n_cosines} if n_cosines else None
    members = values.get("members", 1)
    network = {"embedding": embedding, "layers": layers, "loss": values["loss"], "parameters": values["parameters"]}
    return network | {"members": members}


def _of_metrics(rows: list[dict[str, Any]]) -> dict[str, Any]:
    if not rows:
        return {"metrics": None}
    best, measure = best_row(rows)
    return {"metrics": {"last": rows[-1], "best": best, "best_by": measure}}


def best_row(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """Find the row of ``metrics.csv`` of the epoch that is kept, or else has the lowest loss; and that loss's name."""
    measure = "train_loss" if rows[-1]["validation_loss"] is None else "validation_loss"
    kept = [row for row in rows if row["epoch"] == rows[-1]["best_epoch"]]  # none without patience
    return min(kept or rows, key=lambda row: float("inf") if row[measure] is None else row[measure]), measure
