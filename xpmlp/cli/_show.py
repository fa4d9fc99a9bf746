"""`xpmlp show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import OwnActivations, OwnLoss, RunOrModel, import_parts
from xpmlp.cli._terminal import MAX_COLUMNS, print_columns, print_table
from xpmlp.common.wording import MEASURES, brief, measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NAMES = 10


def show(
    run: RunOrModel,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    activation: OwnActivations = None,
    loss: OwnLoss = None,
) -> None:
    """Show what is known of a run or a model: network, data, recipe, metrics, versions, and how far it is."""
    import json

    from xpmlp.experiments.cards import card_of

    card = card_of(run, import_parts(activation, loss))
    if as_json:
        typer.echo(json.dumps(card, indent=2))
        return
    _print_network(card)
    if columns := card.get("data", {}).get("columns"):
        print_columns(columns, card["became"] or {}, group=card["recipe"].get("group"))
    if card["state"] != "model":
        _print_metrics(card)
    _print_rest(card)


def _print_network(card: dict[str, Any]) -> None:
    from rich.table import Table

    network = card["network"]
    table = Table("layer", "inputs", "dropout", "units", "activation", "parameters")
    if embedding := network["embedding"]:
        n, k = embedding["inputs"], embedding["frequencies"]
        table.add_row("cosines", _text(n), "-", _text(n * k), f"{k} frequencies", _text(embedding["parameters"]))
    for number, layer in enumerate(network["layers"], start=1):
        cells = (layer["inputs"], layer["dropout"] or "-", layer["units"], layer["activation"])
        table.add_row(str(number), *map(_text, cells), _text(layer["parameters"]))
    print_table(table, f"{card['path']}: {_state(card)}")


def _state(card: dict[str, Any]) -> str:
    if card["state"] == "model":
        return "a model file"
    done, last = 0, None
    if card["metrics"]:
        last = card["metrics"]["last"]
        done = int(last["epoch"]) - (last["examples"] < card["data"]["examples"]["train"])  # one may have been cut
    most, best = ("", None) if card["recipe"].get("patience") is None else ("at most ", last and last["best_epoch"])
    weights = f", weights of epoch {best:.0f}" if best else ""
    return f"{card['state']}, {done} of {most}{card['epochs']} epochs done{weights}"


def _print_metrics(card: dict[str, Any]) -> None:
    from rich.table import Table

    if card["metrics"] is None:
        return
    last, best = card["metrics"]["last"], card["metrics"]["best"]
    measures = ["accuracy"] if "train_accuracy" in last else ["r2", "rmse"]  # as many as fit
    table = Table()
    table.add_column("part", no_wrap=True)
    table.add_column("examples")
    for name, row in (("last", last), ("best", best)):
        table.add_column(f"{name} loss (epoch {row['epoch']:.0f})")
        for measure in measures:
            table.add_column(MEASURES[measure])
    for part, examples in card["data"]["examples"].items():
        cells = [_cell(row, part, measure) for row in (last, best) for measure in ("loss", *measures)]
        table.add_row(part, f"{examples:,}", *cells)
    print_table(table, f"metrics, the best by {card['metrics']['best_by'].replace('_', ' ')}")


def _cell(row: Mapping[str, Any], part: str, measure: str) -> str:
    value = row[f"{part}_{measure}"]
    if value is None:
        return "-"
    return brief(value) if measure == "loss" else measured(measure, value)


def _print_rest(card: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    n_members = card["network"]["members"]
    of_each = "" if n_members == 1 else f" in each of {n_members} networks"
    table.add_row("parameters", _text(card["network"]["parameters"]) + of_each)
    table.add_row("loss", card["network"]["loss"])
    table.add_row("task", card["task"])
    if card["classes"] is None:
        table.add_row("target", _targets(card))
    else:
        name = "labels" if card["task"] == "multilabel" else "classes"
        table.add_row(name, _enumerated(card["class_names"] or card["classes"]))
    if card["feature_names"]:
        table.add_row("features", _enumerated(card["feature_names"]))
    table.add_row("preprocessing", card["preprocessing"])
    columns = list((card["became"] or {}).items())
    for name, became in columns[:MAX_COLUMNS]:
        table.add_row(f"  {name}", became)
    if more := columns[MAX_COLUMNS:]:
        table.add_row("", f"... ({len(more):,} columns more)")
    table.add_row("dtype", card["dtype"])
    if card["state"] != "model":
        data, backend = card["data"], card["backend"]
        table.add_row("data", f"{data['name']}, {data['features']:,} features")
        table.add_row("SHA-256 of the data", data["sha256"] or "not kept")
        table.add_row("recipe", _pairs(card["recipe"]))
        table.add_row("computed by", f"{backend['name']} on {backend['device']}")
        table.add_row("versions", _pairs(card["versions"]))
        table.add_row("machine", _pairs(card["machine"]))
        table.add_row("started", card["started"])
    print_table(table)


def _targets(card: dict[str, Any]) -> str:
    """Say what a regression predicts, in which units, and how it was scaled in training."""
    names = card["target_names"] or [f"output {n}" for n in range(1, card["network"]["layers"][-1]["units"] + 1)]
    text = f"{_enumerated(names)}, in the units of the training data"
    if (scaling := card["target_scaling"]) is None:
        return text
    pairs = zip(scaling["mean"], scaling["deviation"], strict=True)
    scaled = _enumerated(f"mean {mean:g} and standard deviation {deviation:g}" for mean, deviation in pairs)
    return f"{text} (scaled in training: {scaled})"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in values.items() if value is not None)


def _enumerated(values: Iterable[Any]) -> str:
    texts = [str(value) for value in values]
    more = f", ... ({len(texts)} in all)" if len(texts) > MAX_NAMES else ""
    return ", ".join(texts[:MAX_NAMES]) + more


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
