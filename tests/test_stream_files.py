"""Data on disk that are read by rows: what is read, and what is refused."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext

import numpy as np
import pytest

from xpmlp import BackendError, InputError, XpmlpWarning
from xpmlp.data.datasets import load_dataset
from xpmlp.data.streams import is_streamed, load_stream, open_source
from xpmlp.data.streams.source import MAX_PIECE_BYTES

N = 300


def examples(n=N, dtype=np.uint8):
    return (np.arange(n * 6) % 251).reshape(n, 2, 3).astype(dtype)


def labels(n=N):
    return np.arange(n) % 3


@pytest.fixture
def folder(tmp_path):
    """Write arrays as .npy files: gives the folder."""

    def write(**arrays):
        path = tmp_path / "data"
        path.mkdir(exist_ok=True)
        for name, array in arrays.items():
            np.save(path / f"{name.replace('_', '-')}.npy", array, allow_pickle=True)
        return path

    return write


def hdf5(path, X, y, **options):
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **options)
        is_text = y.dtype.kind == "U"
        file.create_dataset(
            "y", data=y.astype(object) if is_text else y, dtype=h5py.string_dtype() if is_text else None
        )
    return path


def zarr_group(path, X, y, version=3, rows=50):
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=version)
    for name, array in (("X", X), ("y", y)):
        chunks = (min(rows, array.shape[0]), *array.shape[1:])
        group.create_array(name, shape=array.shape, dtype=array.dtype, chunks=chunks)[...] = array
    return path


KINDS = {
    "pair": lambda folder, X, y: folder(X=X, y=y),
    "shards": lambda folder, X, y: folder(X_0=X[:7], y_0=y[:7], X_1=X[7:200], y_1=y[7:200], X_2=X[200:], y_2=y[200:]),
    "shards without rows": lambda folder, X, y: folder(
        X_0=X[:0], y_0=y[:0], X_1=X[:7], y_1=y[:7], X_2=X[:0], y_2=y[:0], X_3=X[7:], y_3=y[7:], X_4=X[:0], y_4=y[:0]
    ),
    "hdf5": lambda folder, X, y: hdf5(folder().parent / "data.h5", X, y),
    "hdf5 compressed": lambda folder, X, y: hdf5(
        folder().parent / "data.hdf5", X, y, chunks=(40, *X.shape[1:]), compression="gzip"
    ),
    "zarr 2": lambda folder, X, y: zarr_group(folder().parent / "data.zarr", X, y, 2),
    "zarr 3": lambda folder, X, y: zarr_group(folder().parent / "data.zarr", X, y, 3),
}


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_rows_that_were_written(folder, kind, dtype):
    X, y = examples(dtype=dtype), labels()
    path = KINDS[kind](folder, X, y)
    source = open_source(path)
    assert is_streamed(str(path))
    assert source.name == "data"
    assert source.shape == (N, 6)
    assert source.dtype.isnative
    for start, stop in ((0, 1), (5, 230), (299, 300), *source.blocks.tolist()):
        np.testing.assert_array_equal(source.examples(start, stop), X[start:stop].reshape(-1, 6))
        np.testing.assert_array_equal(source.targets(start, stop), y[start:stop])


@pytest.mark.parametrize("kind", ["pair", "shards", "hdf5"])
def test_labels_may_be_texts_of_any_length(folder, kind):
    y = np.array(["a", "größe", "a text"])[labels()]
    data, parts = load_stream(KINDS[kind](folder, examples(), y))
    assert data.classes.tolist() == ["a", "a text", "größe"]
    np.testing.assert_array_equal(np.concatenate([block for _, block in parts.train[0].labelled()]), y)


def test_labels_of_zarr_may_be_texts(tmp_path):
    import zarr

    path = zarr_group(tmp_path / "data.zarr", examples(), labels())
    y = np.array(["a", "größe", "a text"])[labels()]
    del zarr.open_group(path)["y"]
    zarr.open_group(path).create_array("y", shape=(N,), dtype=str, chunks=(50,))[...] = y.astype(object)
    assert open_source(path).targets(0, N).tolist() == y.tolist()


@pytest.mark.parametrize("y", [labels().astype(float), labels() > 0])
def test_whole_floats_and_booleans_become_integer_labels(folder, y):
    found = open_source(folder(X=examples(), y=y)).targets(0, N)
    assert found.dtype == np.int64
    assert found.tolist() == y.tolist()


def test_blocks_are_whole_pieces_of_what_is_stored_as_one(tmp_path):
    blocks = open_source(hdf5(tmp_path / "data.h5", examples(), labels(), chunks=(40, 2, 3))).blocks
    assert blocks.tolist() == [[start, min(start + 40, N)] for start in range(0, N, 40)]


@pytest.mark.parametrize(("rows", "blocks", "reads"), [(40, 8, 8), (1, 150, 300)])
def test_the_ends_of_a_block_that_is_stored_as_one_are_read_at_once(tmp_path, monkeypatch, rows, blocks, reads):
    """Such a piece is decoded as a whole, however few rows of it are asked for."""
    path = hdf5(tmp_path / "data.h5", examples(), labels(), chunks=(rows, 2, 3))
    source, asked = open_source(path), []
    read = source.examples
    monkeypatch.setattr(source, "examples", lambda *span: asked.append(span) or read(*span))
    for start, stop in source.blocks.tolist():
        np.testing.assert_array_equal(source.ends(start, stop), examples()[[start, stop - 1]].reshape(2, 6))
    assert (len(source.blocks), len(asked)) == (blocks, reads)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"holds neither X\.npy and y\.npy nor shards"),
        ({"X": examples()}, r"holds X\.npy, but no y\.npy"),
        ({"X": examples(), "y": labels(), "y_2": labels()}, r"holds y-2\.npy, but no X-2\.npy"),
        ({"X": examples(), "y": labels(), "X_2": examples(), "y_2": labels()}, r"such as X-2\.npy: keep"),
        ({"X": examples(), "y": labels(299)}, r"must be of one length"),
        ({"X_1": examples(9), "y_1": labels(8), "X_2": examples(8), "y_2": labels(9)}, r"X-1\.npy .* of one length"),
        ({"X_1": examples(), "y_1": labels(), "X_2": examples()[:, :1], "y_2": labels()}, "all must be alike"),
        ({"X_1": examples(), "y_1": labels(), "X_2": examples() * 1.0, "y_2": labels()}, "all must be alike"),
        ({"X_1": examples(), "y_1": labels(), "X_2": examples(), "y_2": labels().astype(str)}, "that of the first"),
        ({"X": np.arange(3), "y": labels(3)}, "must have two dimensions"),
        ({"X": np.float64(3), "y": np.float64(3)}, "has no rows to read"),
        ({"X": np.eye(3), "y": np.eye(3)}, "must have one dimension"),
        ({"X": np.zeros((0, 2)), "y": labels(0)}, "at least one example"),
        ({"X": np.zeros((3, 0)), "y": labels(3)}, "at least one feature"),
        ({"X": np.eye(3).astype(str), "y": labels(3)}, "must hold real numbers"),
        ({"X": np.eye(3) * 1j, "y": labels(3)}, "must hold real numbers"),
        ({"X": np.asfortranarray(examples()), "y": labels()}, "stored column by column"),
        ({"X": np.array([[None, 1]], dtype=object), "y": labels(1)}, "X in .* holds pickled Python objects"),
        ({"X": np.eye(2), "y": np.array([{}, []], dtype=object)}, "y in .* holds pickled Python objects"),
        ({"X": np.eye(2), "y": np.array(["", ""], "U0")}, "has no rows to read|one class alone"),
        ({"X": np.eye(2), "y": np.array([0, np.nan])}, "NaN or infinite values, the first at row 1"),
        ({"X": np.eye(2), "y": np.array([0, 1e300])}, "floats beyond"),
        ({"X": np.eye(2), "y": np.ones(2)}, "one class alone"),
        ({"X": np.eye(2), "y": np.array([97, 0x110000], np.uint32).view("U1")}, "not Unicode"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(folder, arrays, message):
    with pytest.raises(InputError, match=message):
        load_stream(folder(**arrays))


@pytest.mark.parametrize(
    ("numbers", "lost"),
    [
        (["0000", "0001", "0003", "0004", "0007"], "lack 3 shards, the first with number 2"),
        (["3", "4", "6"], "lack 1 shard, the first with number 5"),
        (["20260131", "20260201", "20260301"], None),  # days
        (["a", "1", "3b"], None),
        (["1", "2"], None),
    ],
)
def test_shards_whose_numbers_leave_few_out_are_warned_of(folder, numbers, lost):
    for number in numbers:
        path = folder(**{f"X_{number}": examples(3), f"y_{number}": labels(3)})
    with pytest.warns(XpmlpWarning, match=lost) if lost else nullcontext():
        assert open_source(path).shape == (3 * len(numbers), 6)


def test_a_file_of_a_pair_is_no_data_set_but_its_folder_is(folder):
    path = folder(X=examples(), y=labels()) / "X.npy"
    assert not is_streamed(str(path))
    with pytest.raises(InputError, match=r"An \.npy file holds one array: put .* into a folder"):
        load_dataset(path)


def test_a_file_that_is_shorter_or_longer_than_its_header_says_is_refused(folder):
    path = folder(X=examples(), y=labels())
    content = (path / "X.npy").read_bytes()
    for changed in (content[:-1], content + b"\0", content[:20], b"", b"not an array"):
        (path / "X.npy").write_bytes(changed)
        with pytest.raises(InputError, match=r"claims shape|is not an \.npy file"):
            open_source(path)


def test_a_file_that_becomes_shorter_while_it_is_used_is_an_error_of_ours(folder):
    path = folder(X=examples(), y=labels())
    source = open_source(path)
    os.truncate(path / "X.npy", 200)
    with pytest.raises(InputError, match="has become shorter"):
        source.examples(200, 300)


def test_a_folder_that_is_missing_or_may_not_be_read_is_named(folder, as_nobody, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        open_source(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be read"):
        open_source(tmp_path / ("x" * 300))
    path = folder(X=examples(), y=labels())
    path.chmod(0)
    try:
        with as_nobody(), pytest.raises(InputError, match="cannot be read"):
            open_source(path)
    finally:
        path.chmod(0o755)


class Harmful:
    """What makes a folder when it is unpickled."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return os.mkdir, (self._path,)


@pytest.mark.parametrize("stage", ["compressor", "filters"])
def test_pickles_in_zarr_groups_are_never_loaded(tmp_path, stage):
    import pickle

    path = zarr_group(tmp_path / "data.zarr", examples(), labels(), 2, rows=N)
    description = json.loads((path / "X" / ".zarray").read_text())
    codec = {"id": "pickle", "protocol": 4}
    (path / "X" / ".zarray").write_text(json.dumps(description | {stage: codec if stage == "compressor" else [codec]}))
    (path / "X" / "0.0.0").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    with pytest.raises(InputError, match=r"coded by pickle|cannot be read"):
        load_stream(path)
    assert not (tmp_path / "harm").exists()


def test_objects_in_npy_files_are_never_unpickled(folder, tmp_path):
    path = folder(X=np.eye(1), y=np.array([Harmful(tmp_path / "harm")], dtype=object))
    with pytest.raises(InputError, match="pickled Python objects"):
        load_stream(path)
    assert not (tmp_path / "harm").exists()


def test_hdf5_files_that_cannot_be_used_are_refused(tmp_path):
    import h5py

    path = tmp_path / "data.h5"
    with pytest.raises(InputError, match="There is no file"):
        open_source(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(InputError, match="cannot be read"):
        open_source(path)
    hdf5(path, examples(), labels(), chunks=(40, 2, 3), compression="gzip")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load_stream(path)
    for make, message in (
        (lambda file: file.create_dataset("X", data=examples()), "lacks 'y'"),
        (lambda file: file.create_group("X"), "X in .* is not a dataset"),
        (lambda file: file.__setitem__("X", h5py.ExternalLink("other.h5", "X")), "X in .* is a link"),
        (lambda file: file.create_dataset("X", (2, 2), "f8", external=[("other", 0, 32)]), "in other files"),
        (lambda file: file.create_dataset("X", (2,), h5py.vlen_dtype(np.int32)), "holds Python objects"),
        (lambda file: file.create_dataset("X", data=h5py.Empty("f4")), r"lacks 'y'"),
    ):
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(InputError, match=message):
            open_source(path)


def test_pieces_that_are_too_large_and_claims_of_too_many_rows_are_refused(tmp_path):
    import h5py

    rows = MAX_PIECE_BYTES // 8 + 1
    for shape, chunks, message in (
        ((2 * rows, 1), (rows, 1), "which can only be read as one"),
        ((2**50, 1), (2**10, 1), "claims 1125899906842624 rows"),
    ):
        with h5py.File(tmp_path / "data.h5", "w") as file:
            file.create_dataset("X", shape, "f8", chunks=chunks)
            file.create_dataset("y", shape[:1], "i8", chunks=(1000,))
        with pytest.raises(InputError, match=message):
            open_source(tmp_path / "data.h5")


def test_zarr_groups_that_cannot_be_used_are_refused(tmp_path):
    import zarr

    path = tmp_path / "data.zarr"
    with pytest.raises(InputError, match="there is no folder"):
        open_source(path)
    path.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        open_source(path)
    zarr_group(path, examples(), labels())
    (next(file for file in (path / "X" / "c").rglob("*") if file.is_file())).write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"X in .* cannot be read from row"):
        load_stream(path)
    del zarr.open_group(path)["y"]
    with pytest.raises(InputError, match="lacks 'y'"):
        open_source(path)


@pytest.mark.parametrize(("package", "extra", "name"), [("h5py", "hdf5", "data.h5"), ("zarr", "zarr", "data.zarr")])
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, tmp_path, package, extra, name):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        BackendError, match=rf"{package} is not installed\. Install it with: pip install 'xpmlp\[{extra}\]'"
    ):
        open_source(tmp_path / name)


@pytest.mark.parametrize("name", ["digits", "circles", "fashion-mnist"])
def test_a_folder_with_the_name_of_a_data_set_does_not_hide_it(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert not is_streamed(name)
    assert is_streamed(f"./{name}")
