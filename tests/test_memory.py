"""Out of memory: one clear error, with the sizes and what to change, whatever the library's own is."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import READ_ONLY

from xpmlp import OutOfMemoryError, XpmlpError, get_backend, load_model
from xpmlp.backends.cupy.backend import CupyBackend
from xpmlp.cli import main
from xpmlp.models.checkpoints import load_checkpoint
from xpmlp.training.scoring import score_rows

# A command of ours in a process whose memory is limited, once the array library and its threads have theirs.
LIMITED = """
import resource, sys
import numpy as np
from xpmlp import MLPClassifier, get_backend
from xpmlp.cli import main
name, *arguments = sys.argv[1:]
backend = get_backend(name)
backend.to_numpy(backend.xp.matmul(backend.asarray([[1.0]]), backend.asarray([[1.0]])))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + 3 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""
BY_COMMAND = 'sys.argv[1:] = [*arguments, "--backend", name]; main()'
BY_ESTIMATOR = """
X, y = np.zeros((50, 1000)), np.arange(50) % 3
try:
    MLPClassifier(int(arguments[0]), device=name, max_iter=1).fit(X, y)
except MemoryError as error:
    print(type(error).__name__, error)
"""

pytestmark = [pytest.mark.torch_or_jax, pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")]


def limited(name, code, *arguments, folder):
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", LIMITED + code, name, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def library(backend_name):
    if backend_name in {READ_ONLY, "array_api_strict", "cupy"}:
        pytest.skip(f"{backend_name} has no memory of its own that could be limited")
    if backend_name == "mlx":
        pytest.skip("where memory is short, MLX ends the process by a segmentation fault")
    return backend_name


def test_a_network_beyond_the_memory_ends_a_training_with_sizes_and_advice(tmp_path):
    done = limited("numpy", BY_COMMAND, "train", "--hidden", "1000000000", "--epochs", "1", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "run out of memory for a network 64-1000000000-10 of 75,000,000,010 parameters" in done.stderr
    assert re.search(r"It has \d+\.\d GiB\. Take fewer hidden units, or another device\.", done.stderr)
    assert not list(tmp_path.glob("runs/*"))


def test_a_run_that_runs_out_of_memory_later_keeps_its_last_good_weights_and_can_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    calls, each = count(), ("--checkpoint-seconds", "0")

    def scored(*arguments):
        if next(calls) == 2:
            raise MemoryError("Unable to allocate 1.00 GiB")
        return score_rows(*arguments)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xpmlp", "train", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    with monkeypatch.context() as patched:
        patched.setattr("xpmlp.training.trainer.score_rows", scored)
        assert run("circles", "--hidden", "4", "--epochs", "3", "--validation", "0", "--out", "run", *each) == 1
    assert "run out of memory for a network 2-4-2 of 22 parameters, in minibatches of 64" in capsys.readouterr().err
    assert "Unable to allocate 1.00 GiB" in (tmp_path / "run" / "train.log").read_text()
    kept = load_model(tmp_path / "run" / "model.safetensors")
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    np.testing.assert_array_equal(kept.layers[0].W, checkpoint.records[-1].layers[0].W)
    assert run("--resume", "run") == 0


def test_a_minibatch_beyond_the_memory_is_told_with_its_size(library, tmp_path):
    """The weights take 10 MB; the activations of 1,200 examples, 5 GB and more."""
    arguments = ("train", "--hidden", "1,1000000", "--batch-size", "1200", "--epochs", "1")
    done = limited(library, BY_COMMAND, *arguments, folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "parameters, in minibatches of 1,200 examples, in float32: " in done.stderr
    assert "a smaller batch size where the activations of a minibatch are, or another device." in done.stderr


def test_an_estimator_whose_network_is_beyond_the_memory_says_so(tmp_path):
    done = limited("numpy", BY_ESTIMATOR, "100000000", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "OutOfMemoryError the machine has run out of memory for a network 1000-100000000-3 of" in done.stdout
    assert "with 50 examples, in float64: " in done.stdout
    assert "Take fewer hidden units, fewer examples, dtype float32, or another device." in done.stdout


class CupyOutOfMemoryError(MemoryError):
    """Stands for cupy.cuda.memory.OutOfMemoryError."""


CupyOutOfMemoryError.__module__ = "cupy.cuda.memory"


class Card:
    def __init__(self, number=0):
        self.id = number

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass


@pytest.mark.parametrize(
    "error",
    [
        CupyOutOfMemoryError("Out of memory allocating 12,000,000,512 bytes (allocated so far: 1,024 bytes)."),
        RuntimeError("cudaErrorMemoryAllocation: out of memory"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_cupys_errors_are_ours_with_what_the_card_has(error):
    backend = CupyBackend.__new__(CupyBackend)
    backend.device_name, backend.dtype, backend.device = "cuda:0", "float32", Card()
    runtime = SimpleNamespace(memGetInfo=lambda: (2**30, 16 * 2**30))
    backend._cupy = SimpleNamespace(cuda=SimpleNamespace(Device=Card, runtime=runtime))
    with pytest.raises(OutOfMemoryError) as caught, backend.computing("a network 2-3-2 of 17 parameters"):
        raise error
    assert str(caught.value) == (
        "cupy on cuda:0 has run out of memory for a network 2-3-2 of 17 parameters, in float32: "
        f"{str(error).rstrip('.')}. It has 16.0 GiB, of which 1.0 are free. "
        "Take fewer hidden units where the weights are large, a smaller batch size where the activations of a "
        "minibatch are, or another device."
    )
    assert caught.value.__cause__ is error


def test_torchs_error_of_a_card_is_ours():
    torch = pytest.importorskip("torch", reason="this is about torch")
    backend = get_backend("torch")
    message = r"torch on cpu has run out of memory: CUDA out of memory\. Tried to allocate 20"
    with pytest.raises(OutOfMemoryError, match=message), backend.computing():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def test_other_errors_stay_what_they_are(backend):
    for error in (RuntimeError("shapes do not match"), XpmlpError("ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, backend.computing("anything"):
            raise error
        assert caught.value is error


def test_ours_is_a_memory_error_and_is_said_once():
    backend = get_backend("numpy", dtype="float64")
    message = r"^the machine has run out of memory for 3 examples, in float64: no details are given\. .*float32, or"
    with pytest.raises(MemoryError, match=message), backend.within_memory("the whole"), backend.computing("3 examples"):
        raise MemoryError
    assert np.geterr()["over"] == "warn"
