"""Backends for the whole suite: one fixture, and a command line that can require one of them.

`pytest` runs every test on each backend that is usable here, and its header names those that are not, with the reason.
`pytest --backend NAME` (repeatable) runs on the named ones alone, and fails where one is missing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import tracemalloc
import warnings
from http.server import ThreadingHTTPServer
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import sklearn
from servers import Handler

from xpmlp import Layer
from xpmlp.backends import BACKENDS, Status, find_backend, get_backend, statuses
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.cli import main
from xpmlp.common.errors import XpmlpError
from xpmlp.experiments.runs import RunFolder
from xpmlp.training import Trainer

READ_ONLY = "numpy-readonly"


class ReadOnlyNumpy(NumpyBackend):
    """NumPy whose inputs may not be written to: `asarray` makes what is read-only, `copy_to_device` what is not."""

    def asarray(self, values, **options):
        return self._frozen(super().asarray(values, **options))

    def asindex(self, values):
        array = super().asindex(values)
        return array if array.ndim == 0 else self._frozen(array)  # counters are made to be counted with

    @staticmethod
    def _frozen(values):
        array = np.array(values)
        array.flags.writeable = False
        return array


NAMES = [*BACKENDS, READ_ONLY]
QUICK = ("numpy", "torch")  # here a test tries every variant, and elsewhere a few: each operation takes long there


def open_backend(name, dtype="float64"):
    return ReadOnlyNumpy(dtype=dtype) if name == READ_ONLY else get_backend(name, dtype=dtype)


def pytest_addoption(parser):
    parser.addoption(
        "--backend",
        action="append",
        help="run on this backend alone, by any name that get_backend takes, and fail where it is missing "
        "(repeatable); default: all of ours that are usable",
    )


def pytest_configure(config):
    keep_what_jax_compiles(config)
    chosen = config.getoption("--backend")
    for name in set(chosen or []) - {READ_ONLY}:
        try:
            BACKENDS.setdefault(name, find_backend(name))
        except XpmlpError as error:
            raise pytest.UsageError(str(error)) from error
    found = {status.name: status for status in statuses()}
    found[READ_ONLY] = Status(READ_ONLY, found["numpy"].version)
    config.backends = chosen or [name for name in NAMES if not found[name].problem]
    config.absent = {name: found[name].problem for name in NAMES if found[name].problem}
    for name in chosen or []:
        if found[name].problem:
            raise pytest.UsageError(f"--backend {name} is required, but cannot be used here: {found[name].problem}")


def keep_what_jax_compiles(config):
    """Let JAX compile a program once for all tests and their processes, which takes most of their time."""
    folder = TemporaryDirectory(prefix="xpmlp-tests-jax-")
    config.add_cleanup(folder.cleanup)
    kept = {"COMPILATION_CACHE_DIR": folder.name, "PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    for name, value in (kept | {"PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}).items():
        os.environ.setdefault(f"JAX_{name}", value)


def pytest_report_header(config):
    lines = [f"xpmlp backends: {', '.join(config.backends)}"]
    return [*lines, *(f"  without {name}: {problem}" for name, problem in config.absent.items())]


def pytest_generate_tests(metafunc):
    if "backend_name" in metafunc.fixturenames:
        metafunc.parametrize("backend_name", metafunc.config.backends, scope="session")


@pytest.fixture(scope="session")
def backend(backend_name):
    """Each usable backend in turn, in float64."""
    return open_backend(backend_name)


@pytest.fixture(scope="session")
def backend32(backend_name):
    """Each usable backend in turn, in float32."""
    return open_backend(backend_name, "float32")


@pytest.fixture(scope="session")
def put():
    """Move host layers to a backend, to be read only."""

    def put_layers(backend, layers):
        return [Layer(backend.asarray(W), backend.asarray(b)) for W, b in layers]

    return put_layers


@pytest.fixture(scope="session")
def check():
    """Assert that a result is of the backend's library, dtype, device and shape, and close to what is expected."""

    def check_result(backend, result, expected, *, rtol=1e-12, atol=1e-14):
        assert backend.holds(result), f"{type(result)} is no array of {backend.name}"
        assert result.dtype == backend.float_dtype
        assert backend.on_device(result), f"not on {backend.device_name}"
        expected = np.asarray(expected)
        assert tuple(result.shape) == expected.shape
        np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=rtol, atol=atol)

    return check_result


@pytest.fixture
def dispatch(monkeypatch, request):
    """Have scikit-learn keep arrays in their library.

    It looks for SCIPY_ARRAY_API then, and SciPy when it is imported. Only the former matters here: what the estimators
    hand to SciPy is NumPy's. So the variable is set for the tests that need it.
    """
    name = request.getfixturevalue("backend_name") if "backend_name" in request.fixturenames else "numpy"
    if name in BACKENDS and not BACKENDS[name].arrays_are_standard:
        pytest.skip("scikit-learn's checks need the standard, which this library's functions do not follow")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with sklearn.config_context(array_api_dispatch=True):
        yield


@pytest.fixture
def rng():
    """A generator of the test's own draws, the same in every run."""
    return np.random.default_rng(20261123)


@pytest.fixture(scope="session")
def data_dir():
    """The folder that holds the real Fashion-MNIST; the test is skipped where there is none."""
    root = os.environ.get("XPMLP_DATA")
    if not root or not (Path(root) / "fashion-mnist").is_dir():
        pytest.skip("$XPMLP_DATA names no folder with fashion-mnist/ in it")
    return Path(root)


@pytest.fixture
def write(tmp_path):
    """Write text or bytes to a file: gives its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def savez(tmp_path):
    """Write arrays to an .npz file: gives its path."""

    def savez(name="data.npz", **arrays):
        np.savez_compressed(tmp_path / name, **arrays)
        return tmp_path / name

    return savez


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run the command line in an empty folder: gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xpmlp", *map(str, arguments)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    return run


@pytest.fixture
def told_to_end(monkeypatch):
    """Let a signal, by default that of Ctrl-C, come after so many steps of a training: gives a context manager."""
    run_epoch = Trainer.run_epoch

    @contextlib.contextmanager
    def told(steps, number=signal.SIGINT):
        taken = count(1)

        def run(*arguments, on_step, **options):
            def counted(examples):
                on_step(examples)
                if next(taken) == steps:
                    signal.raise_signal(number)

            return run_epoch(*arguments, on_step=counted, **options)

        with monkeypatch.context() as patched:
            patched.setattr(Trainer, "run_epoch", run)
            yield

    return told


@pytest.fixture
def as_nobody():
    """Leave root's rights over files behind for a while, where the tests run as root: gives a context manager."""

    @contextlib.contextmanager
    def as_nobody():
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)

    return as_nobody


@pytest.fixture
def peak():
    """Measure a call's memory: gives the most bytes that Python, NumPy and zlib held at once for it."""

    def peak(call):
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return peak


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """A folder that the examples of a property test share."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture
def server(monkeypatch):
    """Serve `server.files` on this machine, from `server.address("cut")` and the like; `server.asked`: for what."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked = {}, []
        server.over, server.barrier = threading.Event(), threading.Barrier(2, timeout=60)
        server.address = lambda behaviour: f"http://127.0.0.1:{server.server_port}/{behaviour}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def interrupted_after(monkeypatch):
    """A context in which runs are interrupted once so many epochs are written down."""

    @contextlib.contextmanager
    def interrupted(epochs):
        add = RunFolder.add

        def add_and_stop(folder, record):
            add(folder, record)
            if record.epoch == epochs:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "add", add_and_stop)
            yield

    return interrupted
