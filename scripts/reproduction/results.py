"""The folder of a reproduction, and the file in it that holds all that was measured."""

from __future__ import annotations

import json
import math
import shutil
from typing import TYPE_CHECKING, Any

from xpmlp import InputError
from xpmlp.common.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["prepare_folder", "write_results"]

RESULTS = "results.json"


def prepare_folder(folder: Path, *, overwrite: bool) -> None:
    """Make the folder, or clear it of an earlier report's page, table, pictures and runs.

    Raises
    ------
    InputError
        For a folder that holds something else, or a report that is not to be replaced, and where none can be made.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output folder {folder} exists and is a file: choose another with --out.")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / RESULTS).exists():
            raise InputError(
                f"the output folder {folder} holds something else than a report: choose another with --out."
            )
        if not overwrite:
            raise InputError(
                f"the output folder {folder} holds a report: choose another with --out, or give --overwrite."
            )
        pictures = [*folder.glob("figures/*.png"), *folder.glob("boundaries/*.png")]
        for stale in [folder / "index.html", folder / "boundaries.csv", *pictures]:
            stale.unlink(missing_ok=True)
        for config in folder.glob("runs/*/config.json"):
            shutil.rmtree(config.parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the output folder {folder} cannot be made: {error.strerror or error}.") from error
    write_whole(folder / RESULTS, b"{}\n")


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write what has been measured so far; what is no finite number, as of a check that failed, is null."""
    write_whole(folder / RESULTS, (json.dumps(_finite(results), indent=1, allow_nan=False) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
