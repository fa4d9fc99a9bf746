"""Training: a step, a trainer that takes an epoch of steps, and a loop over epochs that yields a record of each.

The loop serves the command line; `estimators`, which keep to scikit-learn's rules, use the trainer. The host waits for
the device once an epoch, to read its sums.

It imports `common`, `backends`, `distributed`, `nn` and `data`.
"""

from xpmlp.training.loop import Record, train
from xpmlp.training.many import train_many
from xpmlp.training.packs import train_pack
from xpmlp.training.recipe import Recipe, steps_per_epoch
from xpmlp.training.settings import Setting, draw_settings
from xpmlp.training.stacks import Member
from xpmlp.training.step import State, make_step
from xpmlp.training.trainer import Reading, Trainer

__all__ = [
    "Member",
    "Reading",
    "Recipe",
    "Record",
    "Setting",
    "State",
    "Trainer",
    "draw_settings",
    "make_step",
    "steps_per_epoch",
    "train",
    "train_many",
    "train_pack",
]
