"""What one run of the reproduction is to do, and where it puts what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from joblib import cpu_count

from xpmlp import get_backend
from xpmlp.plots import save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from xpmlp import Backend


@dataclass(frozen=True)
class Plan:
    """What to do, on what, into which folder.

    Attributes
    ----------
    backend, device : str
        Where to compute.
    data_dir : str or None
        Where Fashion-MNIST lies, as for `load_dataset`.
    out : Path
        The folder for everything.
    quick : bool
        Whether to do a little of everything instead of all of it.
    jobs : int or None
        Models to train at a time, as joblib's `n_jobs`; None leaves it to `joblib.parallel_config`.
    """

    backend: str
    device: str
    data_dir: str | None
    out: Path
    quick: bool
    jobs: int | None

    @classmethod
    def build(
        cls, backend: str, device: str | None, data_dir: str | None, out: Path, *, quick: bool, jobs: int | None
    ) -> Plan:
        """Open the backend once, so that what cannot be had is said at the start; a GPU trains one model at a time."""
        opened = get_backend(backend, device)
        on_cpu = opened.device_name.startswith(("cpu", "device"))
        return cls(opened.name, opened.device_name, data_dir, out, quick, jobs or (cpu_count() if on_cpu else 1))

    def open(self, dtype: str) -> Backend:
        """Open the backend in a dtype."""
        return get_backend(self.backend, self.device, dtype)

    @property
    def threads(self) -> int | None:
        """BLAS threads of each model: one where several train side by side, else as many as there are."""
        return None if self.jobs == 1 else 1

    def run(self, name: str) -> Path:
        """Return the folder of a training run."""
        return self.out / "runs" / name

    def draw(self, figure: Figure, name: str) -> str:
        """Write a figure into the folder under a name such as "boundaries/01.png", and give the name back."""
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_figure(figure, path)
        return name

    def show(self, figure: Figure, name: str, alt: str) -> dict[str, str]:
        """Draw a figure, and give what the page needs to show it."""
        return {"file": self.draw(figure, name), "alt": alt}
