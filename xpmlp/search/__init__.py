"""Hyper-parameter search: trainings side by side, their table and figure, and the winner's run.

Candidates come from a grid or from draws; scikit-learn's searches run them, in full or by successive halving, on one of
joblib's engines. Each trial is written down as it ends, so that a search can be resumed.
It imports the wings below it.
"""

from xpmlp.search._engines import ENGINES, check_engine
from xpmlp.search._entry import entry_of_search
from xpmlp.search._folder import SearchFolder
from xpmlp.search._search import SearchResult, rank, rungs, search
from xpmlp.search._space import DEFAULT_SPACE, SEARCHABLE, Dimension, Space
from xpmlp.search._study import Study, plan
from xpmlp.search._trial import Point, Trial

__all__ = [
    "DEFAULT_SPACE",
    "ENGINES",
    "SEARCHABLE",
    "Dimension",
    "Point",
    "SearchFolder",
    "SearchResult",
    "Space",
    "Study",
    "Trial",
    "check_engine",
    "entry_of_search",
    "plan",
    "rank",
    "rungs",
    "search",
]
