"""Downloads from a server that misbehaves: a clear error, and never a bad, half or temporary file in the cache."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys

import pytest

from xpmlp.data.datasets.download import Limits, fetch

NAME = "file.gz"
CONTENT = bytes(range(256)) * 500
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()

FAILURES = {
    "missing": "404",
    "broken": "500",
    "wrong": "does not match",
    "page": "does not match",
    "cut": "IncompleteRead",
    "loop": "Exceeded 30 redirects",
    "endless": "more than 1048576 bytes came",
    "silent": "fewer than 262144 bytes came in 2 seconds",
    "dripping": "fewer than 262144 bytes came in 2 seconds",
    "dripping_headers": "fewer than 262144 bytes came in 2 seconds",
}


SHORT = Limits(seconds=2.0, max_bytes=2**20)


@pytest.fixture
def server(server):
    server.files = {NAME: CONTENT}
    return server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def download(server, folder, *behaviours, limits=SHORT):
    addresses = [server.address(behaviour) for behaviour in behaviours]
    fetch({NAME: CHECKSUM}, addresses, folder, progress=False, limits=limits)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_that_is_there_is_not_downloaded_again(server, folder):
    download(server, folder, "good")
    download(server, folder, "good")
    assert server.asked == [f"/good/{NAME}"]
    assert contents(folder) == {NAME: CONTENT}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_download_says_where_and_why_and_leaves_nothing_in_the_cache(failure, server, folder):
    with pytest.raises(ConnectionError, match=f"^{server.address(failure)}{NAME}: .*{FAILURES[failure]}"):
        download(server, folder, failure)
    assert contents(folder) == {}


# Those that take all of the time are here once.
@pytest.mark.parametrize("failure", sorted(FAILURES.keys() - {"silent", "dripping_headers"}))
def test_the_next_address_is_tried_when_one_fails(failure, server, folder):
    download(server, folder, failure, "good")
    assert contents(folder) == {NAME: CONTENT}


def test_a_server_that_does_not_answer_at_all_is_named(server, folder):
    with pytest.raises(ConnectionError, match=f"^http://127[.]0[.]0[.]1:1/{NAME}: .*refused"):
        fetch({NAME: CHECKSUM}, ["http://127.0.0.1:1/"], folder, progress=False, limits=SHORT)
    assert contents(folder) == {}


@pytest.mark.parametrize("content", [b"", CONTENT[:-10], CONTENT + b"?"])
def test_a_bad_file_in_the_cache_is_downloaded_again(content, server, folder):
    folder.mkdir()
    (folder / NAME).write_bytes(content)
    download(server, folder, "good")
    assert contents(folder) == {NAME: CONTENT}


def test_a_bad_file_in_the_cache_is_never_taken_when_the_download_fails(server, folder):
    folder.mkdir()
    (folder / NAME).write_bytes(b"bad")
    with pytest.raises(ConnectionError, match="404"):
        download(server, folder, "missing")


def test_a_slow_server_is_waited_for_as_long_as_enough_comes(server, folder):
    """The whole takes longer than the time in which each piece that counts must come."""
    download(server, folder, "steady", limits=SHORT._replace(min_bytes=2**10))
    assert contents(folder) == {NAME: CONTENT}


PROGRAM = """
import sys
from pathlib import Path
from xpmlp.data.datasets.download import Limits, fetch

seconds, name, checksum, address, folder = sys.argv[1:]
fetch({name: checksum}, [address], Path(folder), progress=False, limits=Limits(float(seconds)))
"""


def downloading(address, folder, seconds=30):
    """Start a process that downloads."""
    command = [sys.executable, "-c", PROGRAM, str(seconds), NAME, CHECKSUM, address, str(folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own program


def test_two_processes_that_download_at_once_both_have_the_whole_file(server, folder):
    """The server answers neither before both have asked."""
    processes = [downloading(server.address("together"), folder) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert len(server.asked) == 2
    assert contents(folder) == {NAME: CONTENT}


def test_a_program_that_gave_up_ends_although_the_server_goes_on(server, folder):
    process = downloading(server.address("dripping"), folder, seconds=1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ConnectionError" in err
    assert contents(folder) == {}


def test_a_folder_that_cannot_be_made_is_an_error_of_the_folder(server, folder):
    folder.write_bytes(b"a file in its place")
    with pytest.raises(OSError, match="cache") as caught:
        download(server, folder, "good")
    assert not isinstance(caught.value, ConnectionError)
    assert folder.read_bytes() == b"a file in its place"


def test_a_folder_that_may_not_be_written_to_is_named(server, folder, as_nobody):
    folder.mkdir(0o500)
    with as_nobody(), pytest.raises(PermissionError, match=str(folder)):
        download(server, folder, "good")
    assert server.asked == []


def test_a_disk_without_room_is_an_error_of_the_disk_and_leaves_nothing(server, folder):
    """A limit on the size of files stands in for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            download(server, folder, "good")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(folder) == {}
