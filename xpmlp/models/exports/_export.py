"""From a model to a file, whose ending says of which kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xpmlp.common.errors import InputError
from xpmlp.common.files import check_place, write_whole
from xpmlp.common.validation import check_choice
from xpmlp.models.exports._npz import npz_of
from xpmlp.models.exports._onnx import onnx_of
from xpmlp.models.exports._skops import skops_of
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.losses import output_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.models.model import Model
    from xpmlp.nn.network import Network

__all__ = ["ENDINGS", "export_model"]

ENDINGS = {"onnx": ".onnx", "npz": ".npz", "sklearn": ".skops"}
WRITERS: dict[str, Callable[[Model], bytes]] = {".onnx": onnx_of, ".npz": npz_of, ".skops": skops_of}


def export_model(model: Model, path: str | Path, *, to: str | None = None, overwrite: bool = False) -> None:
    """Write a trained model for another program: raw features go in, and what `Model.predict` gives comes out.

    Parameters
    ----------
    model : Model
        What to write.
    path : Path
        Where. Its ending says what: ``.onnx``; ``.npz``, plain arrays; or ``.skops``, an estimator of scikit-learn.
    to : {"onnx", "npz", "sklearn"}, optional
        The program that it is for, where the ending is to be checked against it.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    InputError
        For an ending that is none of these, a file that is there, and what the other program cannot express.
    BackendError
        Where the package that writes such files is not installed.
    """
    path = Path(path)
    if to is not None:
        check_choice("to", to, ENDINGS)
    check_place(path, list(WRITERS) if to is None else [ENDINGS[to]], overwrite=overwrite)
    _check_functions(model.network)
    output_name(model.network.loss)
    write_whole(path, WRITERS[path.suffix.lower()](model))


def _check_functions(network: Network) -> None:
    """Refuse activations of the user's own, which no other program knows."""
    own = [each.name for each in network.activations if ACTIVATIONS.get(each.name) != each]
    if own:
        raise InputError(f"a model with a function of your own, {own[0]!r}, cannot be exported: no file can hold it.")
