"""A search in a list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpmlp.common.wording import counted
from xpmlp.experiments.overview import Entry
from xpmlp.search._search import rank

if TYPE_CHECKING:
    from xpmlp.search._folder import SearchFolder


def entry_of_search(folder: SearchFolder) -> Entry:
    """Describe a search in a line, with the validation score of its best trial so far."""
    study = folder.study()
    state = "running" if folder.is_locked() else "complete" if folder.winner() else "interrupted"
    trials = rank(folder.ended(study)[0], halving=study.halving, by_loss=study.by_loss)
    kept = trials[0].kept if trials else None
    best = None if kept is None else (int(kept.epoch), kept.measure)
    tried = counted(len(study.candidates), "candidate")
    started = folder.configured(lambda config: str(config["started"]))
    return Entry(str(folder.path), state, started, study.name, tried, f"validation {study.measure}", best)
