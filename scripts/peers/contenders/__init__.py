"""The contenders of each device by name: what each needs installed, whose products it computes, and where it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peers.contender import Contender
    from peers.task import Task

__all__ = ["CONTENDERS", "FIELDS", "FLOORS", "REFERENCE", "UPDATE_FLOOR", "Entry", "Field"]

REFERENCE = "xpmlp-numpy"
UPDATE_FLOOR = "floor-update"


@dataclass(frozen=True)
class Entry:
    """A contender, before anything of it is imported.

    Attributes
    ----------
    module : str
        Of this package; its class is called `Peer`.
    libraries : tuple of str
        Modules that a program of it imports.
    floor : str
        The floor in the same library.
    same_batches : bool
        Whether it takes the task's minibatches, or shuffles by itself.
    predicts : bool
        Whether it has a way of its own to predict.
    arguments : dict of str to str
        For its class, beside the task.
    """

    module: str
    libraries: tuple[str, ...]
    floor: str = "floor-numpy"
    same_batches: bool = True
    predicts: bool = True
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The libraries that are not installed."""
        tops = dict.fromkeys(library.split(".")[0] for library in self.libraries)
        return [top for top in tops if find_spec(top) is None]

    def load(self) -> None:
        """Import the libraries."""
        for library in self.libraries:
            import_module(library)

    def open(self, task: Task) -> Contender:
        """Lay out a task."""
        peer: Any = import_module(f"peers.contenders.{self.module}").Peer
        contender: Contender = peer(task, **self.arguments)
        return contender


FLOORS = {
    "floor-numpy": Entry("floor_numpy", ("numpy",)),
    "floor-torch": Entry("floor_torch", ("torch",)),
    "floor-jax": Entry("floor_jax", ("jax",)),
    UPDATE_FLOOR: Entry("floor_update", ("numpy",), predicts=False),
}
CONTENDERS = {
    REFERENCE: Entry("xpmlp_engine", ("xpmlp.training",), arguments={"backend": "numpy"}),
    "xpmlp-float32": Entry(
        "xpmlp_engine", ("xpmlp.training",), predicts=False, arguments={"backend": "numpy", "examples": "float32"}
    ),
    "xpmlp-torch": Entry("xpmlp_engine", ("xpmlp.training", "torch"), "floor-torch", arguments={"backend": "torch"}),
    "xpmlp-jax": Entry("xpmlp_engine", ("xpmlp.training", "jax"), "floor-jax", arguments={"backend": "jax"}),
    "xpmlp-estimator": Entry(
        "estimator", ("xpmlp.estimators",), same_batches=False, arguments={"library": "xpmlp.estimators"}
    ),
    "scikit-learn": Entry(
        "estimator", ("sklearn.neural_network",), same_batches=False, arguments={"library": "sklearn.neural_network"}
    ),
    "torch-eager": Entry("torch_eager", ("torch",), "floor-torch"),
    "torch-loader": Entry("torch_loader", ("torch",), "floor-torch", same_batches=False, predicts=False),
    "jax-jit": Entry("jax_jit", ("jax",), "floor-jax"),
    "thinc": Entry("thinc_model", ("thinc.api",)),
    "skorch": Entry("skorch_net", ("skorch", "torch"), "floor-torch", same_batches=False),
}


RATE = "floor-rate"
GPU_CONTENDERS = {
    **{
        f"xpmlp-{name}": Entry("xpmlp_gpu", ("xpmlp.training", name), RATE, arguments={"backend": name})
        for name in ("cupy", "torch", "jax")
    },
    "torch-eager": replace(CONTENDERS["torch-eager"], floor=RATE),
    "torch-graphs": Entry("torch_graphs", ("torch",), RATE),
    "torch-compiled": Entry("torch_compiled", ("torch",), RATE),
    "jax-jit": replace(CONTENDERS["jax-jit"], floor=RATE),
}


@dataclass(frozen=True)
class Field:
    """Who takes part on a device.

    Attributes
    ----------
    reference : str
        The contender that the others are compared with.
    contenders, floors : dict of str to Entry
        By name.
    """

    reference: str
    contenders: dict[str, Entry]
    floors: dict[str, Entry]

    @property
    def entries(self) -> dict[str, Entry]:
        """Contenders and floors."""
        return self.contenders | self.floors


FIELDS = {
    "cpu": Field(REFERENCE, CONTENDERS, FLOORS),
    "cuda": Field("xpmlp-cupy", GPU_CONTENDERS, {RATE: Entry("floor_rate", ("cupy",), predicts=False)}),
}
