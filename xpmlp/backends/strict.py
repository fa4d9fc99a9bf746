"""array-api-strict: refuses what the standard does not promise. For tests; its `device1` stands in for a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends.base import Backend, Status, load_library

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from xpmlp.common.types import Array


class StrictBackend(Backend):
    """array-api-strict, on `device1` unless told otherwise: moving its arrays to the host by accident raises."""

    name = "array_api_strict"

    def _open(self) -> None:
        self.xp = _library()
        self.device = self.xp.Device(self.device_name)

    def _choose(self, device: Any) -> str:
        return super()._choose("device1" if device is None else device)

    @classmethod
    def devices(cls) -> Sequence[str]:
        return [device._device for device in _library().__array_namespace_info__().devices()]  # noqa: SLF001 - it has no public name

    @classmethod
    def status(cls) -> Status:
        about = "for tests: slow, and strict about the standard"
        return Status(cls.name, _library().__version__, tuple(cls.devices()), about)

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        return values.device._device if type(values).__module__.startswith("array_api_strict") else None  # noqa: SLF001 - as above

    def to_numpy(self, x: Array) -> np.ndarray:
        """Copy to the CPU device first, as the library asks."""
        return np.array(self.xp.asarray(x, device=self.xp.Device("CPU_DEVICE")))

    def _context(self) -> AbstractContextManager[Any]:
        # Overflow and NaN are silenced as for NumPy, which computes underneath.
        return np.errstate(over="ignore", invalid="ignore")


def _library() -> ModuleType:
    return load_library("array_api_strict", "array-api-strict", "pip install 'xpmlp[test]'")
