"""Unfinished runs on disk, in files like those of models."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.models.files import layers_in, named_arrays, read_file, write_file
from xpmlp.nn.optimizers import AdamState, SGDState
from xpmlp.training import Record, State
from xpmlp.training.many import StackState
from xpmlp.training.packs import PackState
from xpmlp.training.scoring import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from xpmlp.common.types import Array

STATES = {state.__name__: state for state in (SGDState, AdamState)}


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """An unfinished run, as it was after an epoch.

    Attributes
    ----------
    run : list of str
        Fingerprints of configuration and data: where one differs, the run cannot be resumed.
    records : list of Record
        Of the epochs that are done: the last one, from which `train` resumes, with weights and state in NumPy arrays,
        the others without.
    """

    run: list[str]
    records: list[Record]

    def __repr__(self) -> str:
        return f"<Checkpoint after epoch {self.records[-1].epoch}>"


def record_to_json(record: Record) -> str:
    """Write all of a record but its weights and its state in a line, as a checkpoint has it."""
    names = ("epoch", "seconds", "examples", "examples_per_second", "learning_rate", "loss", "complete", "threads")
    values = {name: getattr(record, name) for name in names}
    values["scores"] = {part: _score_to_json(score) for part, score in record.scores.items()}
    values["best"] = record.best and [record.best.epoch, record.best.scores["validation"].loss]
    if record.members is not None:
        values["members"] = {part: [*map(_score_to_json, scores)] for part, scores in record.members.items()}
    return json.dumps(values)


def _score_to_json(score: Score) -> dict[str, float]:
    return {"loss": score.loss, **score.measures}


def save_checkpoint(
    run: list[str], last: Record, lines: Sequence[str], to_numpy: Callable[[Array], np.ndarray], path: Path
) -> None:
    """Write what it takes to resume a run, beside the checkpoint before, which is kept as ``previous-...``.

    Parameters
    ----------
    run : list of str
        As in `Checkpoint`.
    last : Record
        Of the epoch to resume after, with weights and state.
    lines : sequence of str
        The records of all epochs up to it, by `record_to_json`: so each is converted once in a run.
    to_numpy : callable
        `Backend.to_numpy`.
    path : Path
        Where.

    Raises
    ------
    InputError
        For a record without its state, and where the file cannot be written.
    """
    if last.state is None:
        raise InputError("the last record has no state to resume from: it was read from a file.")
    weights = named_arrays(last.layers) | named_arrays(last.best.layers if last.best else [], "best.")
    arrays = {name: to_numpy(array) for name, array in weights.items()}
    own, described = (_pack_state if isinstance(last.state, PackState) else _state)(last.state, to_numpy)
    arrays |= {f"{name}.{number}": array for name, parts in own.items() for number, array in enumerate(parts)}
    description = {"kind": "checkpoint", "run": run, **described}
    fresh = path.with_name(f"next-{path.name}")
    write_file(fresh, arrays, description, "\n".join(lines))
    if path.exists():
        path.replace(previous(path))
    fresh.replace(path)


def _state(state: State, to_numpy: Callable[[Array], np.ndarray]) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    """Return the arrays of a state, on the host, and what is to be said of it."""
    own = {field: [to_numpy(p) for p in arrays] for field, arrays in state.optimizer._asdict().items()}
    steps = int(to_numpy(state.t).flat[0])  # all members of an ensemble take as many
    return own, {"steps": steps, "optimizer": type(state.optimizer).__name__}


def _pack_state(
    state: PackState, to_numpy: Callable[[Array], np.ndarray]
) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    own = {f"stack_{number}": [to_numpy(p) for p in stack.arrays] for number, stack in enumerate(state.stacks)}
    lists = [[stack.numbers, stack.good] for stack in state.stacks]
    described = {"stacks": lists, "chosen": state.chosen, "value": state.value, "embedded": state.embedded}
    return own | {"chosen": state.arrays}, {"pack": described}


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Raises
    ------
    InputError
        For a file that is missing, damaged, or not one of ours.
    """
    checkpoint: Checkpoint = read_file(path, "checkpoint", _checkpoint)
    return checkpoint


def previous(path: Path) -> Path:
    """Return where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"previous-{path.name}")


def drop_checkpoints(path: Path, *, but_last: bool = False) -> None:
    """Remove the checkpoint at `path`, unless `but_last`, the one before it, and one that was not finished."""
    for prefix in ("previous-", "next-") if but_last else ("", "previous-", "next-"):
        path.with_name(f"{prefix}{path.name}").unlink(missing_ok=True)


def _checkpoint(description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Checkpoint:
    records: list[Record] = []
    for line in description["records"].splitlines():
        records.append(_record(json.loads(line), records))
    depth, last = sum(name[0] == "W" for name in arrays), records[-1]
    layers, best = layers_in(arrays, depth), last.best and replace(last.best, layers=layers_in(arrays, depth, "best."))
    state: Any
    if pack := description.get("pack"):
        stacks = [
            StackState(numbers, good, _numbered(arrays, f"stack_{place}"))
            for place, (numbers, good) in enumerate(pack["stacks"])
        ]
        state = PackState(stacks, pack["chosen"], _numbered(arrays, "chosen"), pack["value"], tuple(pack["embedded"]))
    else:
        rule = STATES[description["optimizer"]]
        if strange := sorted({name.partition(".")[0] for name in arrays if "." in name} - {"best", *rule._fields}):
            raise InputError(
                f"its {rule.__name__} has {', '.join(strange)}, where this version of xpmlp has "
                f"{', '.join(rule._fields)}: resume with the version that wrote it, or start anew."
            )
        optimizer = rule(**{field: _numbered(arrays, field) for field in rule._fields})
        stack = layers[0].W.shape[:-2]  # (M,) of an ensemble
        state = State(optimizer, *(np.full(stack, n) for n in (description["steps"], 0.0, 1.0, last.learning_rate)))
    records[-1] = replace(last, layers=layers, state=state, best=best)
    return Checkpoint(description["run"], records)


def _numbered(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """Return the arrays ``name.0``, ``name.1``, ..."""
    return [arrays[f"{name}.{number}"] for number in range(sum(each.startswith(f"{name}.") for each in arrays))]


def _record(values: dict[str, Any], before: Sequence[Record]) -> Record:
    scores = {part: Score(**score) for part, score in values["scores"].items()}
    members = values.get("members")
    members = members and {part: [Score(**score) for score in those] for part, those in members.items()}
    record = Record(**values | {"scores": scores, "best": None, "members": members}, layers=[], state=None)
    if not values.get("best"):
        return record
    epoch, _ = values["best"]
    return replace(record, best=record if epoch == record.epoch else replace(before[epoch - 1], best=None))
