"""Files of any kind: what cannot be read, and bytes that mean nothing."""

import contextlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from references import TABLE

from xpmlp.datasets import load_dataset, read_features
from xpmlp.errors import InputError


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
@pytest.mark.parametrize("read", [load_dataset, lambda path: read_features(path, n_features=2)])
class TestFilesThatCannotBeOpened:
    def test_a_missing_file_is_named(self, read, suffix, tmp_path):
        with pytest.raises(InputError, match=rf"There is no file .*none\{suffix}"):
            read(tmp_path / f"none{suffix}")

    def test_a_folder_is_no_file(self, read, suffix, tmp_path):
        path = tmp_path / f"folder{suffix}"
        path.mkdir()
        with pytest.raises(InputError, match="is a folder"):
            read(path)

    def test_a_path_that_cannot_be_is_refused(self, read, suffix):
        with pytest.raises(InputError, match="cannot be opened"):
            read(f"a\0b{suffix}")

    def test_a_file_that_may_not_be_read_is_refused(self, read, suffix, write):
        path = write(TABLE, f"secret{suffix}")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user, such as root, may read every file")
        with pytest.raises(InputError, match="may not be read"):
            read(path)


@given(
    content=st.binary(max_size=80) | st.text(',\n\r"\0 01e.-ax', max_size=80).map(str.encode),
    suffix=st.sampled_from([".csv", ".npz"]),
)
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes_give_an_input_error_or_valid_data(content, suffix, scratch):
    path = scratch / f"random{suffix}"
    path.write_bytes(content)
    for read in (load_dataset, lambda path: read_features(path, n_features=2, feature_names=["a", "x"])):
        with contextlib.suppress(InputError):
            read(path)


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_an_npz_file_with_changed_bytes_gives_an_input_error_or_valid_data(data, scratch):
    path = scratch / "changed.npz"
    np.savez_compressed(path, X=np.eye(2), y=np.arange(2))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        load_dataset(path)
