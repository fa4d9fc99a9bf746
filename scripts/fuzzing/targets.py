"""The readers of files that a user hands over, each with valid files to begin with.

A target takes any bytes and reads them as a file of its format. It returns where they load or are refused by an error
of ours, and lets everything else out: that is a finding. The suite gives the same targets to hypothesis.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import struct
import zipfile
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from xpmlp import Layer, Model, Network, Scaling, load_model, save_model
from xpmlp.common.errors import XpmlpError
from xpmlp.data.datasets import load_dataset, read_features
from xpmlp.data.datasets.fashion_mnist import read_idx
from xpmlp.data.streams import load_stream
from xpmlp.models.checkpoints import load_checkpoint, record_to_json, save_checkpoint
from xpmlp.models.files import digest
from xpmlp.nn.optimizers import AdamState
from xpmlp.training import Record, State
from xpmlp.training.scoring import Score

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["TARGETS", "Target"]


class Target(NamedTuple):
    """One format: what gives valid contents, and what reads any content; both may write into the folder given."""

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[bytes, Path], None]


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _csv_seeds(_: Path) -> list[bytes]:
    texts = (
        "width,height,kind\n1,2.5,cat\n-3e2,4,dog\n",
        "1,2,0\n3,4,1\n",
        '\ufeff"a","say ""b""",y\r\n1, 2 ,"x,1"\r\n\r\n3,4,"line\nbreak"\r\n',
    )
    return [text.encode() for text in texts]


def _read_csv(content: bytes, folder: Path) -> None:
    path = _file(folder, "data.csv", content)
    for names in (None, ["width", "height"]):
        with contextlib.suppress(XpmlpError):
            read_features(path, n_features=2, feature_names=names)
    for target in (None, "kind"):
        with contextlib.suppress(XpmlpError):
            load_dataset(path, target=target)


def _npz_seeds(_: Path) -> list[bytes]:
    contents = []
    for write in (np.savez, np.savez_compressed):
        for X in (np.eye(2), np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.asfortranarray(np.ones((2, 2), ">f4"))):
            file = io.BytesIO()
            write(file, X=X, y=np.array(["a", "b"]), feature_names=np.array([f"x{i}" for i in range(X[0].size)]))
            contents.append(file.getvalue())
    return contents


def _read_npz(content: bytes, folder: Path) -> None:
    path = _file(folder, "data.npz", content)
    with contextlib.suppress(XpmlpError):
        load_dataset(path)
    with contextlib.suppress(XpmlpError):
        read_features(path, n_features=2, feature_names=["x0", "x1"])


def _npy_seeds(_: Path) -> list[bytes]:
    contents = []
    for array in (
        np.eye(2),
        np.arange(2),
        np.array(["a", "b"]),
        np.zeros((0, 2, 3), ">i2"),
        np.asfortranarray(np.eye(3)),
    ):
        file = io.BytesIO()
        np.save(file, array)
        contents.append(file.getvalue())
    return contents


def _read_npy(content: bytes, folder: Path) -> None:
    """Put the bytes into sound archives, in the place of one array and of the other, with checksums that are right."""
    matrix, labels, *_ = _npy_seeds(folder)
    sound = {"X": matrix, "y": labels}
    for fuzzed in sound:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for name, member in sound.items():
                file.writestr(f"{name}.npy", content if name == fuzzed else member)
        _read_npz(archive.getvalue(), folder)


def _read_stream(content: bytes, folder: Path) -> None:
    """Put the bytes into a folder of sound arrays, in the place of one array and of the other, and read all rows."""
    matrix, labels, *_ = _npy_seeds(folder)
    sound = {"X": matrix, "y": labels}
    (folder / "stream").mkdir(exist_ok=True)
    for fuzzed in sound:
        for name, array in sound.items():
            _file(folder / "stream", f"{name}.npy", content if name == fuzzed else array)
        with contextlib.suppress(XpmlpError):
            for _ in load_stream(folder / "stream")[1].train[0].labelled():
                pass


def _idx_seeds(_: Path) -> list[bytes]:
    images, labels = np.arange(24, dtype=np.uint8), np.arange(5, dtype=np.uint8)
    return [
        struct.pack(">4I", 2051, 2, 3, 4) + images.tobytes(),
        struct.pack(">2I", 2049, 5) + labels.tobytes(),
    ]


def _read_idx(content: bytes, folder: Path) -> None:
    """Pack the bytes soundly, so that the checksum is right."""
    _read_gzip(gzip.compress(content, compresslevel=1, mtime=0), folder)


def _gzip_seeds(folder: Path) -> list[bytes]:
    return [gzip.compress(content, mtime=0) for content in _idx_seeds(folder)]


def _read_gzip(content: bytes, folder: Path) -> None:
    with contextlib.suppress(XpmlpError):
        read_idx(_file(folder, "data.gz", content))


@cache
def _model_seeds(folder: Path) -> list[bytes]:
    network = Network.build(2, [2], 2, dropout=0.5)
    layers = [Layer(np.eye(2, dtype=np.float32), np.zeros(2, np.float32)) for _ in range(2)]
    scaling = Scaling(np.zeros(2), np.ones(2))
    save_model(Model(network, layers, np.array(["a", "b"]), scaling, ("u", "v")), folder / "model")
    arrays = [p for layer in layers for p in layer]
    state = State(AdamState(arrays, arrays), *map(np.array, (8, 0.0, 1.0, 0.1)))
    scores = {part: Score(0.5, 0.25) for part in ("train", "validation")}
    record = Record(1, 0.5, 4, 8.0, 0.1, 0.5, scores, layers, state, complete=True)
    record = replace(record, best=record)
    save_checkpoint(["configuration", "data"], record, [record_to_json(record)], np.asarray, folder / "checkpoint")
    return [(folder / name).read_bytes() for name in ("model", "checkpoint")]


def _read_model(content: bytes, folder: Path) -> None:
    path = _file(folder, "fuzzed", content)
    with contextlib.suppress(XpmlpError):
        load_checkpoint(path)
    with contextlib.suppress(XpmlpError):
        model = load_model(path)
        model.predict(np.zeros((1, model.network.sizes[0])))


def _header_seeds(folder: Path) -> list[bytes]:
    """Give the headers of our files, and of others of the same format."""
    headers = [_split(content)[0] for content in _model_seeds(folder)]
    other = {"W1": {"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]}, "__metadata__": {"xpmlp": "{}"}}
    return [*headers, json.dumps(other).encode()]


def _split(content: bytes) -> tuple[bytes, bytes]:
    """Split a file into its header, which follows its length, and its arrays."""
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end], content[end:]


def _read_header(content: bytes, folder: Path) -> None:
    """Put the bytes into files as their header, with a length that is right, before arrays and before none."""
    for arrays in (_split(_model_seeds(folder)[0])[1], b""):
        _read_model(struct.pack("<Q", len(content)) + content + arrays, folder)


def _description_seeds(folder: Path) -> list[bytes]:
    return [f"{json.dumps(description)}\n{records}".encode() for _, description, records in _parts(folder)]


@cache
def _parts(folder: Path) -> list[tuple[dict[str, np.ndarray], dict[str, Any], str]]:
    """Give the arrays, the description, without its checksum, and the records of each of the valid files."""
    parts = []
    for content in _model_seeds(folder):
        with safe_open(_file(folder, "valid", content), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            metadata = file.metadata()
        description = json.loads(metadata["xpmlp"])
        del description["sha256"]
        parts.append((arrays, description, metadata.get("records", "")))
    return parts


def _read_description(content: bytes, folder: Path) -> None:
    """Put the bytes into sound files as their description, a line, and records, with a checksum that is right."""
    first, _, rest = content.partition(b"\n")
    try:
        description, records = json.loads(first), rest.decode()
        text = json.dumps(description)
    except (ValueError, RecursionError):
        return
    if not isinstance(description, dict):
        return
    for arrays, *_ in _parts(folder):
        text = json.dumps(description | {"sha256": digest(arrays, description, records)})
        _read_model(save(arrays, metadata={"xpmlp": text, "records": records}), folder)


TARGETS = {
    "csv": Target(_csv_seeds, _read_csv),
    "npz": Target(_npz_seeds, _read_npz),
    "npz-arrays": Target(_npy_seeds, _read_npy),
    "npy-stream": Target(_npy_seeds, _read_stream),
    "idx": Target(_idx_seeds, _read_idx),
    "idx-gzip": Target(_gzip_seeds, _read_gzip),
    "model": Target(_model_seeds, _read_model),
    "model-header": Target(_header_seeds, _read_header),
    "model-description": Target(_description_seeds, _read_description),
}
