"""Fashion-MNIST: where it is looked for, how its files are checked, and the format of its files."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import fashion_mnist, load_dataset
from xpmlp.data.datasets.fashion_mnist import read_idx

IMAGES, LABELS = 2051, 2049
FILES = tuple(fashion_mnist.CHECKSUMS)


def idx(magic, array):
    return gzip.compress(struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes())


def small_files():
    rng = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 30), ("t10k", 20)):
        files[f"{part}-images-idx3-ubyte.gz"] = idx(IMAGES, rng.integers(0, 256, (n, 28, 28), np.uint8))
        files[f"{part}-labels-idx1-ubyte.gz"] = idx(LABELS, (np.arange(n) % 10).astype(np.uint8))
    return files


@pytest.fixture
def files(monkeypatch):
    """Stand small files in for the real ones: their checksums are constants, for no others may be taken."""
    files = small_files()
    checksums = {name: hashlib.sha256(files[name]).hexdigest() for name in FILES}
    monkeypatch.setattr(fashion_mnist, "CHECKSUMS", checksums)
    return files


@pytest.fixture
def cache(files, tmp_path, monkeypatch):
    """Stand an empty folder in for the user's cache, and leave no other place to look."""
    monkeypatch.delenv("XPMLP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "xpmlp" / "fashion-mnist"


@pytest.fixture
def no_network(monkeypatch):
    """Leave addresses alone that nobody answers at; they are constants, for there are no others."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fashion_mnist, "ADDRESSES", ("http://127.0.0.1:1/one/", "http://127.0.0.1:1/two/"))


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# The real data


@pytest.mark.skipif(
    not Path(os.environ.get("XPMLP_DATA", ""), "fashion-mnist", FILES[0]).is_file(),
    reason="$XPMLP_DATA does not hold fashion-mnist/, and tests download nothing",
)
def test_the_real_data_are_complete():
    data = load_dataset("fashion-mnist")
    X_test, y_test = data.test
    assert data.X.shape == (60000, 784)
    assert X_test.shape == (10000, 784)
    assert data.X.dtype == X_test.dtype == np.uint8
    assert data.y.dtype == y_test.dtype == np.int64
    assert np.bincount(data.y).tolist() == [6000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    assert data.X.mean() / 255 == pytest.approx(0.286041, abs=5e-7)
    assert X_test.mean() / 255 == pytest.approx(0.286849, abs=5e-7)
    assert data.class_names[9] == "Ankle boot"
    assert (data.image_shape, data.scaling, data.pixel_max) == ((28, 28), "range", 255)


# Where the files are looked for


@pytest.mark.parametrize("inside", ["", "fashion-mnist"])
def test_the_data_folder_may_hold_the_files_or_a_folder_with_them(inside, files, cache, no_network, tmp_path):
    write(tmp_path / "mine" / inside, files)
    data = load_dataset("fashion-mnist", data_dir=tmp_path / "mine")
    assert data.X.shape == (30, 784)
    assert data.test[0].shape == (20, 784)
    assert data.y.tolist() == [*range(10)] * 3
    assert data.X.flags.c_contiguous
    assert names(cache) == []


def test_the_environment_variable_is_used_when_no_data_folder_is_given(files, cache, no_network, tmp_path, monkeypatch):
    write(tmp_path / "mine" / "fashion-mnist", files)
    monkeypatch.setenv("XPMLP_DATA", str(tmp_path / "mine"))
    assert load_dataset("fashion-mnist").y.size == 30


def test_a_data_folder_that_is_given_goes_before_the_environment_variable(files, cache, tmp_path, monkeypatch):
    write(tmp_path / "mine", files)
    monkeypatch.setenv("XPMLP_DATA", str(tmp_path / "nowhere"))
    assert load_dataset("fashion-mnist", data_dir=tmp_path / "mine").y.size == 30


def test_a_data_folder_without_the_data_is_an_error_although_the_cache_has_them(files, cache, tmp_path):
    write(cache, files)
    write(tmp_path / "mine", {name: files[name] for name in FILES[:3]})
    with pytest.raises(InputError, match=rf"mine/fashion-mnist cannot be listed.*mine lacks {FILES[3]}\."):
        load_dataset("fashion-mnist", data_dir=tmp_path / "mine")


def test_an_environment_variable_without_the_data_is_an_error_although_the_cache_has_them(
    files, cache, tmp_path, monkeypatch
):
    write(cache, files)
    monkeypatch.setenv("XPMLP_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"\$XPMLP_DATA does not have Fashion-MNIST: .*nowhere"):
        load_dataset("fashion-mnist")


def test_an_empty_environment_variable_counts_as_unset(files, cache, no_network, monkeypatch):
    write(cache, files)
    monkeypatch.setenv("XPMLP_DATA", "")
    assert load_dataset("fashion-mnist").y.size == 30


def test_a_local_file_with_another_checksum_is_refused_by_name(files, cache, tmp_path):
    write(tmp_path, files | {FILES[1]: b"damaged"})
    actual = hashlib.sha256(b"damaged").hexdigest()
    with pytest.raises(InputError, match=rf"{FILES[1]} is not .*SHA-256 is {actual}, but [0-9a-f]{{64}} was expected"):
        load_dataset("fashion-mnist", data_dir=tmp_path)


# Downloads


def test_a_download_fills_the_cache_which_is_then_used_without_a_network(files, cache, server, monkeypatch):
    server.files = files
    monkeypatch.setattr(fashion_mnist, "ADDRESSES", [server.address("good")])
    first = load_dataset("fashion-mnist")
    assert names(cache) == sorted(FILES)
    asked = len(server.asked)
    second = load_dataset("fashion-mnist")
    assert len(server.asked) == asked == 4
    np.testing.assert_array_equal(first.X, second.X)


def test_without_network_or_copy_the_error_names_every_way_and_every_address(cache, no_network):
    with pytest.raises(InputError) as caught:
        load_dataset("fashion-mnist")
    for wanted in ("--data-dir", "$XPMLP_DATA", str(cache), "one/" + FILES[0], "two/" + FILES[0], "refused"):
        assert wanted in str(caught.value)


def test_the_reason_given_is_the_downloads_own_even_inside_a_handler(cache, no_network):
    try:
        {}.pop("something else")
    except KeyError:
        with pytest.raises(InputError, match="refused") as caught:
            load_dataset("fashion-mnist")
    assert "something else" not in str(caught.value)


def test_a_cache_that_cannot_be_used_is_named_with_what_to_do(files, cache, no_network):
    cache.parent.parent.mkdir()
    cache.parent.write_bytes(b"a file in the place of the folder")
    with pytest.raises(InputError, match=rf"The cache, {cache}, cannot be used .*--data-dir.*XPMLP_DATA"):
        load_dataset("fashion-mnist")


@pytest.mark.parametrize("progress", [False, True])
def test_a_download_draws_a_bar_only_when_asked_and_never_on_standard_output(
    progress, files, cache, server, capsys, monkeypatch
):
    server.files = files
    monkeypatch.setattr(fashion_mnist, "ADDRESSES", [server.address("good")])
    load_dataset("fashion-mnist", progress=progress)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("train-images" in captured.err) == progress
    assert progress or not captured.err


# The format


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "file.gz"


def test_idx_images_and_labels_are_read_as_they_were_written(scratch):
    for magic, array in (
        (IMAGES, np.arange(24, dtype=np.uint8).reshape(2, 3, 4)),
        (LABELS, np.arange(5, dtype=np.uint8)),
    ):
        scratch.write_bytes(idx(magic, array))
        result = read_idx(scratch)
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous
        np.testing.assert_array_equal(result, array)


LABELS_OF_3 = struct.pack(">2I3B", LABELS, 3, 0, 1, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends within its header"),
        (LABELS_OF_3, "not a complete gzip file"),
        (gzip.compress(b""), "ends within its header"),
        (gzip.compress(LABELS_OF_3[:6]), "ends within its header"),
        (gzip.compress(b"\0\0\x08\x02" + LABELS_OF_3[4:]), "magic number 2050"),
        (gzip.compress(LABELS_OF_3[:-1]), "3 bytes follow its header, but holds 2"),
        (gzip.compress(LABELS_OF_3 + b"\0"), "3 bytes follow its header, but holds more"),
        (gzip.compress(LABELS_OF_3)[:-9], "not a complete gzip file"),
        (gzip.compress(LABELS_OF_3)[:-8] + bytes(8), "not a complete gzip file"),
        (gzip.compress(LABELS_OF_3) + b"rubbish", "not a complete gzip file"),
        (gzip.compress(struct.pack(">4I", IMAGES, 2**31, 2**31, 2**31)), "more than the 67108864"),
        (gzip.compress(struct.pack(">4I", IMAGES, 0, 2**32 - 1, 2**32 - 1)), "none at all"),
    ],
)
def test_damaged_idx_files_are_refused(content, message, scratch):
    scratch.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(scratch)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(struct.pack(">2I", LABELS, 2**26), id="a claim without bytes"),
        pytest.param(struct.pack(">2I", LABELS, 3) + bytes(2**27), id="bytes without a claim"),
    ],
)
def test_memory_is_taken_neither_for_claims_nor_for_what_unpacks_beyond_them(content, scratch, peak):
    scratch.write_bytes(gzip.compress(content))

    def read():
        with pytest.raises(InputError, match="bytes follow its header"):
            read_idx(scratch)

    assert peak(read) < 2**23


def test_a_missing_idx_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no file .*none\.gz"):
        read_idx(tmp_path / "none.gz")
