"""Many runs: the list of those below a folder, and some of them side by side."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.shown import line
from xpmlp.experiments.cards import best_row
from xpmlp.experiments.options import settings_text
from xpmlp.experiments.runs import PARTS, RunFolder
from xpmlp.training import Record
from xpmlp.training.scoring import CLASS_MEASURES, REAL_MEASURES, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xpmlp.experiments.folders import Folder

PREFERRED = ("validation", "test", "train")  # part whose score stands for a run in a list: the first that it has


@dataclass(frozen=True)
class Entry:
    """What a list says of a folder.

    Attributes
    ----------
    folder : str
        Where it is.
    state : {"complete", "running", "interrupted", "failed", "broken"}
        How far it is: ``failed`` has diverged or run out of memory, and ``broken`` cannot be read.
    started : str or None
        When it was begun, as ``config.json`` has it.
    data, network : str or None
        What it learns from, and the units of the layers; of a search, how many candidates it has.
    score : str or None
        What `best` and `last` are: "validation accuracy", "test r2"; of the training part where there is no other.
    best, last : (epoch, value), or None
        Of the epoch that is kept or has the lowest validation loss (training loss where there is no such part), and of
        the last one; of a search the best trial's.
    problem : str
        Why it is broken, or "".
    """

    folder: str
    state: str
    started: str | None = None
    data: str | None = None
    network: str | None = None
    score: str | None = None
    best: tuple[int, float | None] | None = None
    last: tuple[int, float | None] | None = None
    problem: str = ""

    def __repr__(self) -> str:
        return line(self)


def entry_of(folder: RunFolder) -> Entry:
    """Describe a run in a line."""
    started, data, network = folder.configured(_named)
    entry = Entry(str(folder.path), folder.state, started, data, network)
    if not (rows := folder.rows()):
        return entry
    part = next(part for part in PREFERRED if rows[-1][f"{part}_loss"] is not None or part == PREFERRED[-1])
    measure = f"{part}_{_measures(rows)[0]}"
    best, last = ((int(row["epoch"]), row[measure]) for row in (best_row(rows)[0], rows[-1]))
    return replace(entry, score=measure.replace("_", " "), best=best, last=last)


def _named(config: dict[str, Any]) -> tuple[str, str, str]:
    network, pack = config["network"], config["options"].get("pack", 0)
    members = network.get("members", 1)
    of_each = f"{members} x " if members > 1 else ""
    sizes = f"pack of {pack}" if pack else of_each + "-".join(map(str, network["sizes"]))
    return config["started"], config["data"]["name"], sizes


def _measures(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return CLASS_MEASURES if f"{PARTS[0]}_{CLASS_MEASURES[0]}" in rows[0] else REAL_MEASURES


def list_runs(root: Path, readers: Mapping[type[Folder], Callable[[Any], Entry]]) -> list[Entry]:
    """List the folders of runs below a folder, that one included, in the order of their names.

    Parameters
    ----------
    root : Path
        Where to look. Hidden folders, links and what is inside a run or a search are left out.
    readers : mapping of class to callable
        What describes a folder of each kind that is looked for.

    Returns
    -------
    list of Entry
        One for each; a folder that cannot be read is one that says why.

    Raises
    ------
    InputError
        Where there is no such folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> list_runs(Path("docs"), {RunFolder: entry_of})
    []
    """
    if not root.is_dir():
        raise InputError(f"there is no folder {root}: `xpmlp train` makes run folders, below runs by default.")
    entries = []

    def note(error: OSError) -> None:
        entries.append(Entry(str(error.filename), "broken", problem=f"it cannot be read: {error.strerror}."))

    for place, inside, _ in os.walk(root, onerror=note):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for kind, read in readers.items():
            folder = kind(Path(place))
            try:
                if not folder.is_begun:
                    continue
                entries.append(read(folder))
            except (InputError, OSError) as error:
                entries.append(Entry(place, "broken", problem=str(error)))
            inside.clear()
            break
    return entries


@dataclass(frozen=True)
class ComparedRun:
    """One of several runs that are set side by side.

    Attributes
    ----------
    name : str
        Of its folder; the whole path where another one is called the same.
    path, state : str
        Where it is, and how far (as in `Entry`).
    options : dict
        Those of its options that are not the same in all runs, and
        ``data_sha256``, the first digits of the data's fingerprint.
    records : list of Record
        Its epochs, without weights.
    loss : str
        The name of its loss.
    """

    name: str
    path: str
    state: str
    options: dict[str, Any]
    records: list[Record]
    loss: str

    def __repr__(self) -> str:
        options = settings_text(self.options) or "no other options"
        return f"<ComparedRun {self.name}, {self.state}: {options}; kept {self.kept!r}>"

    @property
    def kept(self) -> Record | None:
        """The epoch whose weights are kept: the best one with patience, else the last; None before the first."""
        return self.records[-1].selected if self.records else None

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the differing options, and the scores of the epoch that is kept."""
        kept = self.kept
        scores = {part: {"loss": s.loss, **s.measures} for part, s in kept.scores.items()} if kept else {}
        finite = {part: {k: v if math.isfinite(v) else None for k, v in s.items()} for part, s in scores.items()}
        return {
            "name": self.name,
            "path": self.path,
            "state": self.state,
            "options": self.options,
            "epoch": kept and kept.epoch,
            "epochs": len(self.records),
            "seconds": self.records[-1].seconds if self.records else None,
            "scores": finite,
        }


def compare_runs(paths: Sequence[Path]) -> list[ComparedRun]:
    """Set runs side by side: the options that differ, and their epochs.

    Parameters
    ----------
    paths : sequence of Path
        Of two run folders or more, finished or not.

    Raises
    ------
    InputError
        For fewer than two, one that is given twice or cannot be read, and for classifications beside regressions, whose
        scores say different things.
    """
    if len({path.resolve() for path in paths}) < max(2, len(paths)):
        raise InputError("there is nothing to compare: give two runs or more, each of them once.")
    folders = [RunFolder(path) for path in paths]
    options = [{**folder.options().to_json(), **folder.configured(_place)} for folder in folders]
    differing = [name for name in options[0] if any(each[name] != options[0][name] for each in options)]
    records = [records_of(folder.rows()) for folder in folders]
    kinds = {
        tuple(next(iter(each[0].scores.values())).measures): path
        for path, each in zip(paths, records, strict=True)
        if each
    }
    if len(kinds) > 1:
        one, other = kinds.values()
        raise InputError(f"one of {one} and {other} predicts classes and the other amounts: compare runs of one kind.")
    names = [path.resolve().name for path in paths]
    return [
        ComparedRun(
            name if names.count(name) == 1 else str(folder.path),
            str(folder.path),
            folder.state,
            {name: own[name] for name in differing},
            each,
            folder.configured(lambda config: config["network"]["loss"]),
        )
        for name, folder, own, each in zip(names, folders, options, records, strict=True)
    ]


def _place(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the data and the device were found to be; where the data lay decides nothing."""
    sha256 = config["data"].get("sha256")
    return {"device": config["backend"]["device"], "data_dir": None, "data_sha256": sha256 and sha256[:8]}


def records_of(rows: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Make records, without weights, of the rows of ``metrics.csv``."""
    records: list[Record] = []
    for row in rows:
        parts = [part for part in PARTS if any(each[f"{part}_loss"] is not None for each in rows)]
        scores = {part: _score(row, part, _measures(rows)) for part in parts or PARTS[:1]}
        seen = int(row["examples"])
        record = Record(
            int(row["epoch"]), row["seconds"], seen, math.nan, row["learning_rate"], math.nan, scores, [], None, True
        )
        if row["best_epoch"] is not None:
            record = replace(record, best=[*records, record][int(row["best_epoch"]) - 1])
        records.append(record)
    return records


def _score(row: Mapping[str, Any], part: str, measures: Sequence[str]) -> Score:
    values = {name: row[f"{part}_{name}"] for name in ("loss", *measures)}
    return Score(**{name: math.nan if value is None else value for name, value in values.items()})
