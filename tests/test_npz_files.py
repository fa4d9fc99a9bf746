"""The user's own .npz files."""

import os
import struct
import zipfile

import numpy as np
import pytest

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import load_dataset
from xpmlp.data.numpy_files import read_npz


def test_an_npz_file_is_read_in_its_own_dtypes(savez):
    X = np.array([[1, 2], [3, 4]], np.float32)
    data = load_dataset(savez("mine.npz", X=X, y=np.array(["a", "b"]), feature_names=np.array(["u", "v"])))
    assert data.name == "mine"
    assert data.X.dtype == np.float32
    assert data.X.tolist() == X.tolist()
    assert data.y.tolist() == ["a", "b"]
    assert data.feature_names == ("u", "v")
    assert (data.scaling, data.pixel_max, data.image_shape) == ("standard", None, None)


def test_bytes_are_taken_for_pixels(savez):
    data = load_dataset(savez(X=np.eye(3, dtype=np.uint8), y=np.arange(3)))
    assert (data.X.dtype, data.scaling, data.pixel_max) == (np.uint8, "range", 255)


def test_images_are_flattened_and_their_shape_is_kept(savez):
    X = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = load_dataset(savez(X=X, y=np.arange(2)))
    np.testing.assert_array_equal(data.X, X.reshape(2, 12))
    assert data.image_shape == (3, 4)


def test_images_with_channels_are_flattened_but_are_no_single_image(savez):
    data = load_dataset(savez(X=np.zeros((2, 3, 4, 3)), y=np.arange(2)))
    assert data.X.shape == (2, 36)
    assert data.image_shape is None


def test_arrays_become_contiguous_and_native(savez):
    X = np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3))
    data = load_dataset(savez(X=X, y=np.arange(2, dtype=">i4")))
    assert data.X.flags.c_contiguous
    assert data.X.dtype.isnative
    assert data.y.dtype.isnative
    np.testing.assert_array_equal(data.X, X)


@pytest.mark.parametrize("y", [np.array([0.0, 2.0]), np.array([False, True])])
def test_whole_floats_and_booleans_become_integer_labels(y, savez):
    data = load_dataset(savez(X=np.eye(2), y=y))
    assert data.y.dtype == np.int64
    assert data.y.tolist() == y.tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.eye(2)}, "lacks 'y': it holds 'X'"),
        ({"data": np.eye(2)}, "lacks 'X', 'y': it holds 'data'"),
        ({}, "lacks 'X', 'y': it holds no arrays"),
        ({"X": np.eye(2), "y": np.arange(3)}, "2 rows but y of .* has 3 labels"),
        ({"X": np.eye(2), "y": np.ones((2, 2))}, "must have one dimension"),
        ({"X": np.eye(2), "y": np.array([{}, []], dtype=object)}, "y in .* holds pickled Python objects"),
        ({"X": np.array([[1, None]], dtype=object), "y": np.arange(1)}, "X in .* holds pickled Python objects"),
        ({"X": np.array([["a"], ["b"]]), "y": np.arange(2)}, "must hold real numbers"),
        ({"X": np.array([[np.nan], [1]]), "y": np.arange(2)}, "NaN or infinite"),
        ({"X": np.zeros((0, 2)), "y": np.arange(0)}, "no rows"),
        ({"X": np.zeros((0, 2, 2)), "y": np.arange(0)}, "no rows"),
        ({"X": np.float64(1), "y": np.arange(2)}, "two dimensions"),
        ({"X": np.arange(2), "y": np.arange(2)}, "two dimensions"),
        ({"X": np.eye(2), "y": np.array([0.5, 0.5])}, "one value alone"),
        ({"X": np.eye(2), "y": np.array([0, 1e300])}, "floats beyond"),
        ({"X": np.eye(2), "y": np.ones(2)}, "one class alone"),
        ({"X": np.eye(2), "y": np.arange(2), "feature_names": np.array(["a"])}, "a string for each of the 2"),
        ({"X": np.eye(2), "y": np.arange(2), "feature_names": np.array(["a", "a"])}, "each different"),
        ({"X": np.eye(2), "y": np.arange(2), "feature_names": np.arange(2)}, "a string for each of the 2"),
        ({"X": np.zeros(2, [("λ", "f8")]), "y": np.arange(2)}, "structured array"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_an_npz_file_that_cannot_be_used_is_refused(arrays, message, savez):
    with pytest.raises(InputError, match=message):
        load_dataset(savez(**arrays))


def npy(shape, dtype="<f8", data=b""):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def write_zip(path, compression=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("shape", ["(1073741824, 1024)", "(-1, -16)", "(4, 2)", "(2, 1)"])
def test_a_shape_that_the_bytes_do_not_bear_out_is_refused_before_memory_is_taken(shape, tmp_path, peak):
    path = write_zip(tmp_path / "data.npz", X=npy(shape, data=bytes(128 - 8 * (shape == "(2, 1)"))))

    def read():
        with pytest.raises(InputError, match="claims shape"):
            read_npz(path, ["X"])

    assert peak(read) < 2**22


@pytest.mark.parametrize("content", [b"", b"not an array", npy("(2,"), npy("'ab'"), npy("(" * 900), npy("(2,)", "<zz")])
def test_a_member_that_is_no_array_is_refused(content, tmp_path):
    with pytest.raises(InputError, match=r"is not a complete \.npz file"):
        read_npz(write_zip(tmp_path / "data.npz", X=content), ["X"])


def test_more_than_64_mib_are_read_where_they_take_as_much_on_the_disk(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.zeros((2**16, 2**10 + 1), np.uint8))
    assert read_npz(tmp_path / "data.npz", ["X"])["X"].shape == (2**16, 2**10 + 1)


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, peak):
    path = write_zip(tmp_path / "bomb.npz", X=npy((2**27,), "|u1", bytes(2**27)))

    def read():
        with pytest.raises(InputError, match="would unpack into 134217804, more than 100 times as many"):
            read_npz(path, ["X"])

    assert peak(read) < 2**22


def test_a_directory_that_claims_more_than_the_archive_holds_takes_64_mib_at_most(tmp_path, peak):
    """The size in the directory and the header agree with each other, and not with the bytes."""
    path, claimed = tmp_path / "data.npz", 2**26 - 2**10
    member = npy((claimed,), "|u1", bytes(10))
    size = len(member) - 10 + claimed
    write_zip(path, zipfile.ZIP_STORED, X=member)
    content = path.read_bytes()
    assert content.count(struct.pack("<I", len(member))) == 4  # packed and unpacked, in the directory and the archive
    path.write_bytes(content.replace(struct.pack("<I", len(member)), struct.pack("<I", size)))

    def read():
        with pytest.raises(InputError, match=r"is not a complete \.npz file"):
            read_npz(path, ["X"])

    assert peak(read) < 2**26 + 2**22


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_unpack_without_bounds_are_refused(compression, tmp_path):
    path = write_zip(tmp_path / "data.npz", compression, X=npy((2,), data=bytes(16)))
    with pytest.raises(InputError, match=r"X in .* is compressed in a way .*numpy\.savez_compressed"):
        read_npz(path, ["X"])


def test_a_half_written_npz_file_is_refused(savez):
    path = savez(X=np.eye(9), y=np.arange(9))
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"is not a complete \.npz file .*numpy\.savez"):
            load_dataset(path)


def test_a_member_whose_bytes_were_changed_is_refused(tmp_path):
    path = write_zip(tmp_path / "data.npz", zipfile.ZIP_STORED, X=npy("(2,)", data=b"0123456789abcdef"))
    path.write_bytes(path.read_bytes().replace(b"abc", b"xyz"))
    with pytest.raises(InputError, match="Bad CRC"):
        read_npz(path, ["X"])


@pytest.mark.parametrize("code", [0x20202020, 0x110000, 0xD800])
@pytest.mark.parametrize("name", ["y", "feature_names"])
def test_text_of_characters_that_unicode_lacks_is_refused(code, name, savez):
    good = {"X": np.eye(2), "y": np.arange(2), "feature_names": np.array(["u", "v"])}
    with pytest.raises(InputError, match=f"{name} in .* holds text that is not Unicode"):
        load_dataset(savez(**good | {name: np.array([ord("a"), code], np.uint32).view("U1")}))


def test_text_of_any_characters_of_unicode_is_read(savez):
    y = np.array(["", "größe", chr(0x10FFFF)])
    assert load_dataset(savez(X=np.eye(3), y=y)).y.tolist() == y.tolist()


def test_pickles_are_never_loaded(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    y = np.array([Harmful(), Harmful()], dtype=object)
    np.savez(tmp_path / "data.npz", X=np.eye(2), y=y)
    with pytest.raises(InputError, match="pickled Python objects"):
        load_dataset(tmp_path / "data.npz")
    assert not (tmp_path / "harm").exists()
