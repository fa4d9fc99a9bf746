"""Files of any kind that cannot be opened."""

import pytest
from references import TABLE

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import load_dataset, read_features


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

    def test_a_file_that_may_not_be_read_is_refused(self, read, suffix, write, as_nobody):
        path = write(TABLE, f"secret{suffix}")
        path.chmod(0)
        with as_nobody(), pytest.raises(InputError, match="permission denied"):
            read(path)
