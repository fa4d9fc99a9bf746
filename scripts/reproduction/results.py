"""The folder of a reproduction, and the file in it that holds all that was measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from xpmlp import InputError
from xpmlp.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["prepare_folder", "write_results"]

RESULTS = "results.json"


def prepare_folder(folder: Path, *, overwrite: bool) -> None:
    """Make the folder, or clear it of an earlier report's page, table and pictures; runs replace their own files.

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
        for stale in [folder / "index.html", *folder.glob("figures/*.png"), *folder.glob("boundaries/*.png")]:
            stale.unlink(missing_ok=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the output folder {folder} cannot be made: {error.strerror or error}.") from error
    write_whole(folder / RESULTS, b"{}\n")


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write what has been measured so far."""
    write_whole(folder / RESULTS, (json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
