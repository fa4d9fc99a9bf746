"""Tests of one mutant after the other, in processes that are forked once third-party packages are imported."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mutants.operators import Mutant

__all__ = ["ROOT", "Outcome", "load_packages", "outcomes"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "array_api_compat.numpy", "array_api_strict", "filelock", "hypothesis", "hypothesis.extra.numpy", "joblib",
    "matplotlib.pyplot", "numpy", "pooch", "pytest", "rich.table", "safetensors.numpy", "scipy.optimize",
    "scipy.sparse", "scipy.special", "sklearn.model_selection", "sklearn.neural_network", "sklearn.pipeline",
    "threadpoolctl", "typer",
)  # fmt: skip
ABSENT = ("torch", "jax", "cupy")  # NumPy's backends decide
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SLOW = ("every_changed_byte", "fashion_mnist", "final_configuration")  # parts of the names of tests that are left out


class Outcome(NamedTuple):
    """What the tests made of a mutant."""

    noticed: bool
    by: str  # the test that failed first, or what ended the tests
    seconds: float


class FirstFailure:
    """A plugin of pytest that keeps the name of the first test that fails."""

    name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep it."""
        self.name = self.name or (report.nodeid if report.failed else "")

    def pytest_collectreport(self, report: Any) -> None:
        """Keep the file that cannot be collected."""
        self.name = self.name or (report.nodeid if report.failed else "")


class Absent(MetaPathFinder):
    """Hides libraries whose backends the tests are to do without."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:  # noqa: ARG002 - as a finder
        """Say that there is none."""
        if fullname.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def load_packages() -> None:
    """Import what the tests import, but xpmlp, with one thread of BLAS: a process with more cannot be forked safely."""
    for name in THREADS:
        os.environ[name] = "1"
    os.environ.pop("XPMLP_DATA", None)  # the tests on real Fashion-MNIST are slow
    for name in PACKAGES:
        with suppress(ImportError):
            importlib.import_module(name)
    hypothesis = importlib.import_module("hypothesis")
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
    hypothesis.settings.load_profile("mutants")


class _Running(NamedTuple):
    mutant: Mutant | None
    pid: int
    folder: Path
    stages: list[Sequence[str]]  # test files that are left, after those that run
    start: float  # of the first stage
    stage_start: float


def outcomes(
    tasks: Sequence[tuple[Mutant | None, list[Sequence[str]]]], *, jobs: int, limit: float
) -> Iterator[tuple[Mutant | None, Outcome]]:
    """Test mutants, some at a time, and yield the outcome of each as it ends.

    Parameters
    ----------
    tasks : sequence of (Mutant or None, list of (sequence of str))
        Each mutant, None for the package as it is, with test files in stages: the next stage runs where the one before
        noticed nothing.
    jobs : int
        How many at a time.
    limit : float
        Seconds of a stage, after which the tests count as ended by the mutant.
    """
    waiting, running = list(tasks)[::-1], dict[int, _Running]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant, stages = waiting.pop()
                folder = Path(tempfile.mkdtemp(prefix="mutant-"))
                _lay_out(mutant, folder)
                _begin(running, mutant, folder, stages, time.monotonic())
            time.sleep(0.05)
            for process in list(running.values()):
                outcome = _outcome(process, limit)
                if outcome is None:
                    continue
                del running[process.pid]
                if outcome.noticed or not process.stages:
                    shutil.rmtree(process.folder, ignore_errors=True)
                    yield process.mutant, outcome
                else:
                    _begin(running, process.mutant, process.folder, process.stages, process.start)
    finally:
        for process in running.values():
            _end(process.pid)
            shutil.rmtree(process.folder, ignore_errors=True)


def _lay_out(mutant: Mutant | None, folder: Path) -> None:
    """Copy the package, with the change."""
    shutil.copytree(ROOT / "xpmlp", folder / "xpmlp", ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        path = folder / "xpmlp" / mutant.path
        path.write_bytes(mutant.apply(path.read_bytes()))


def _begin(
    running: dict[int, _Running], mutant: Mutant | None, folder: Path, stages: list[Sequence[str]], start: float
) -> None:
    tests, *left = stages
    pid = os.fork()
    if not pid:
        _run_tests(folder, tests)
    running[pid] = _Running(mutant, pid, folder, left, start, time.monotonic())


def _run_tests(folder: Path, tests: Sequence[str]) -> None:
    """Run tests on the copy of the package, in a process of its own, and leave with what was found."""
    code = 1
    try:
        os.setsid()
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.chdir(ROOT)
        sys.path[:] = [str(folder), *(path for path in sys.path if path not in {"", str(ROOT)})]
        os.environ["PYTHONPATH"] = str(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "xpmlp"]:
            del sys.modules[name]  # this script's own
        sys.meta_path.insert(0, Absent())
        first, slow = FirstFailure(), " and ".join(f"not {name}" for name in SLOW)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", "-k", slow]
        options += ["--backend", "numpy", "--backend", "numpy-readonly"]
        import pytest  # noqa: PLC0415 - imported before the fork

        code = int(pytest.main([*options, *(f"tests/{name}.py" for name in tests)], plugins=[first]))
        (folder / "result.json").write_text(json.dumps(first.name))
    except BaseException:  # noqa: BLE001 - the process ends here, and the log says why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _outcome(process: _Running, limit: float) -> Outcome | None:
    """Return what a process has found; None while it runs."""
    pid, status = os.waitpid(process.pid, os.WNOHANG)
    seconds = time.monotonic() - process.start
    if not pid:
        if time.monotonic() - process.stage_start < limit:
            return None
        _end(process.pid)
        return Outcome(noticed=True, by=f"no end within {limit:.0f} s", seconds=seconds)
    _end_group(process.pid)
    code, result = os.waitstatus_to_exitcode(status), process.folder / "result.json"
    by = json.loads(result.read_text()) if result.exists() else ""
    result.unlink(missing_ok=True)
    return Outcome(noticed=code != 0, by=by or (f"exit code {code}" if code else ""), seconds=seconds)


def _end(pid: int) -> None:
    """End a process that we started, and those that it started."""
    _end_group(pid)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
