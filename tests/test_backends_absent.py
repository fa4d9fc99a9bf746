"""Backends that cannot be used: each cause has a message of its own, and nothing else is taken in their place."""

import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from devices import Card

from xpmlp.backends import BACKENDS, get_backend, standard, statuses
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.common.errors import BackendError

pytestmark = pytest.mark.torch_or_jax

CUDA_EXTRAS = r"pip install 'xpmlp\[cuda13\]' \(CUDA 13\) or pip install 'xpmlp\[cuda12\]' \(CUDA 12\)"
INSTALL = {
    "cupy": f"CuPy is not installed. Install it with: {CUDA_EXTRAS}",
    "torch": r"PyTorch is not installed. Install it with: pip install 'xpmlp\[torch\]'",
    "jax": r"JAX is not installed. Install it with: pip install 'xpmlp\[jax\]'",
    "mlx": r"mlx is not installed. Install it with: pip install 'xpmlp\[mlx\]'",
    "array_api_strict": r"array-api-strict is not installed. Install it with: pip install 'xpmlp\[test\]'",
}
UNFIT = "CuPy is installed, but its CUDA libraries are missing or do not match: "
NO_GPU = "CuPy is installed, but there is no usable NVIDIA GPU or driver: "


class CUDARuntimeError(RuntimeError):
    """Stands for cupy.cuda.runtime.CUDARuntimeError."""


class OutOfMemoryError(MemoryError):
    """Stands for cupy.cuda.memory.OutOfMemoryError."""


def raising(error):
    def function(*_, **__):
        raise error

    return function


@pytest.fixture
def fake_cupy(monkeypatch):
    """Put a CuPy on the machine that computes with NumPy on so many cards, with functions replaced."""

    def install(*, cards=1, driver=13000, runtime=13000, **replaced):
        count = raising(cards) if isinstance(cards, Exception) else lambda: cards
        module = ModuleType("cupy")
        module.__version__ = "14.2.0"
        module.cuda = SimpleNamespace(
            Device=Card,
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            runtime=SimpleNamespace(
                CUDARuntimeError=CUDARuntimeError,
                getDeviceCount=count,
                deviceSynchronize=lambda: None,
                driverGetVersion=lambda: driver,
                runtimeGetVersion=lambda: runtime,
                getDeviceProperties=lambda n: {"name": b"Card %d" % n, "totalGlobalMem": 16 * 2**30},
            ),
        )
        functions = {"float32": np.float32, "ones": np.ones, "matmul": np.matmul, "sum": np.sum, **replaced}
        for name, function in functions.items():
            setattr(module, name, function)
        monkeypatch.setitem(sys.modules, "cupy", module)

    return install


@pytest.fixture
def without(monkeypatch):
    """Make a library look as if it were not installed, and had not been."""

    def hide(name):
        standard._namespace.cache_clear()
        for module in {name} | {module for module in sys.modules if module.startswith(f"{name}.")}:
            monkeypatch.setitem(sys.modules, module, None)

    return hide


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Put a library on the machine that fails with some source while it is imported."""

    def install(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


@pytest.mark.parametrize("name", INSTALL)
def test_a_library_that_is_not_installed_is_named_with_its_extra(without, name):
    without(name)
    with pytest.raises(BackendError, match=INSTALL[name]):
        get_backend(name)
    (status,) = (status for status in statuses() if status.name == name)
    assert status.problem.startswith(INSTALL[name].split(".")[0])
    assert (status.version, status.devices) == ("", ())


@pytest.mark.parametrize(("name", "library"), [("cupy", "CuPy"), ("torch", "PyTorch"), ("jax", "JAX")])
@pytest.mark.parametrize("error", ["ImportError", "OSError"])
def test_a_library_whose_own_libraries_are_missing_is_told_from_one_that_is_not_installed(broken, name, library, error):
    broken(name, f"raise {error}('libcudart.so.13: cannot open shared object file')")
    with pytest.raises(BackendError, match=f"{library} is installed, but its .*libcudart.so.13: cannot open"):
        get_backend(name)


def test_a_part_of_cupy_that_is_missing_is_told_from_cupy_that_is_not_installed(broken):
    broken("cupy", "import a_part_of_cupy")
    with pytest.raises(BackendError, match=f"{UNFIT}No module named 'a_part_of_cupy'.*{CUDA_EXTRAS}"):
        get_backend("cupy")


@pytest.mark.parametrize(
    ("cards", "driver", "message"),
    [
        (CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"), 13000, "cudaErrorNoDevice"),
        (CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient"), 0, "InsufficientDriver"),
        (0, 13000, "the driver lists no device"),
    ],
    ids=["no device", "no driver", "no card listed"],
)
def test_no_gpu_or_driver_is_said_to_be_that(fake_cupy, cards, driver, message):
    fake_cupy(cards=cards, driver=driver)
    with pytest.raises(BackendError, match=f"{NO_GPU}.*{message}.*nvidia-smi.*--backend numpy"):
        get_backend("cupy")


def test_a_driver_older_than_the_libraries_is_named_with_both_versions(fake_cupy):
    error = CUDARuntimeError(
        "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
    )
    fake_cupy(cards=error, driver=12020, runtime=13000)
    with pytest.raises(BackendError, match=f"{UNFIT}the driver is for CUDA 12.2, CuPy for 13.0"):
        get_backend("cupy")


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("ones", CUDARuntimeError("cudaErrorUnsupportedPtxVersion")),
        ("matmul", ImportError("libcublas.so.13: cannot open shared object file")),
        ("sum", RuntimeError("libnvrtc.so.13 not found")),
    ],
)
def test_libraries_that_load_late_fail_when_the_backend_is_opened(fake_cupy, function, error):
    fake_cupy(**{function: raising(error)})
    with pytest.raises(BackendError, match=f"{UNFIT}{error}.*{CUDA_EXTRAS}") as caught:
        get_backend("cupy")
    assert caught.value.__cause__ is error
    with pytest.raises(BackendError, match=f"{UNFIT}{error}"):
        BACKENDS["cupy"].status()


def test_a_card_whose_memory_is_taken_is_said_to_be_that(fake_cupy):
    fake_cupy(ones=raising(OutOfMemoryError("Out of memory allocating 512 bytes")))
    with pytest.raises(BackendError, match="the GPU has no memory left for CuPy: Out of memory allocating 512 bytes"):
        get_backend("cupy")


def test_a_card_that_computes_wrongly_is_refused(fake_cupy):
    fake_cupy(matmul=lambda a, _: a)
    with pytest.raises(BackendError, match=r"the GPU computes wrongly: a product of ones summed to 8.0 and not to 16"):
        get_backend("cupy")


@pytest.mark.parametrize("device", ["cuda:2", "cpu", "gpu"])
def test_a_card_that_is_not_there_is_named_with_those_that_are(fake_cupy, device):
    fake_cupy(cards=2)
    with pytest.raises(BackendError, match=f"backend cupy has no device '{device}' here. It has: cuda:0, cuda:1"):
        get_backend("cupy", device=device)


def test_the_status_of_cupy_names_the_cards_and_both_versions_of_cuda(fake_cupy):
    fake_cupy(cards=2, driver=13010)
    status = BACKENDS["cupy"].status()
    assert (status.version, status.devices, status.problem) == ("14.2.0", ("cuda:0", "cuda:1"), "")
    assert status.details == "Card 0, 16 GiB; Card 1, 16 GiB; CUDA 13.0, driver for 13.1"


def test_auto_takes_numpy_with_the_reason_where_there_is_no_gpu(without, fake_cupy):
    without("cupy")
    backend = get_backend("auto", dtype="float64")
    assert (backend.name, backend.dtype) == ("numpy", "float64")
    assert backend.reason.startswith("no GPU: CuPy is not installed. Install it with:")
    fake_cupy(cards=0)
    assert get_backend("auto").reason.startswith(f"no GPU: {NO_GPU}the driver lists no device")


def test_auto_takes_cupy_where_a_gpu_is_usable(monkeypatch):
    class Usable(NumpyBackend):
        name = "cupy"

    monkeypatch.setattr("xpmlp.backends.registry.CupyBackend", Usable)
    backend = get_backend("auto", dtype="float64")
    assert (backend.name, backend.dtype, backend.reason) == ("cupy", "float64", "a GPU is usable")


def test_auto_with_a_card_and_no_gpu_says_why_there_is_none(without):
    without("cupy")
    with pytest.raises(BackendError, match="CuPy is not installed"):
        get_backend("auto", device="cuda:0")


@pytest.mark.parametrize(
    ("device", "holders"),
    [("cuda", "cupy, torch, jax"), ("cuda:0", "cupy, torch, jax"), ("mps", "torch"), ("gpu", ""), ("device1", "")],
)
def test_numpy_has_the_cpu_alone_and_says_who_would_have_another_device(device, holders):
    elsewhere = f" Backends that can have such a device: {holders} (--backend)." if holders else ""
    message = f"backend numpy has no device '{device}' here. It has: cpu.{elsewhere} See `xpmlp info`"
    with pytest.raises(BackendError, match=re.escape(message)):
        get_backend("numpy", device=device)
    assert get_backend("numpy", device="cpu").device_name == "cpu"


@pytest.mark.parametrize(("name", "has"), [("torch", "cpu"), ("jax", ""), ("array_api_strict", "CPU_DEVICE, device1")])
def test_an_unknown_device_is_named_with_those_that_are_there(name, has):
    pytest.importorskip(name, reason=f"{name} lists its devices itself")
    with pytest.raises(BackendError, match=f"backend {name} has no device 'abacus' here. It has: .*{has}"):
        get_backend(name, device="abacus")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            None,
            r"device 'cuda:0' needs CUDA libraries, but this PyTorch .* was built without\. Install CuPy: .*\[cuda13\]",
        ),
        ("13.0", "device 'cuda:0': PyTorch finds no usable NVIDIA GPU or driver. Check `nvidia-smi`"),
    ],
    ids=["built without CUDA", "no GPU"],
)
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_torch_tells_a_build_without_cuda_from_a_machine_without_a_gpu(monkeypatch, device, version, message):
    torch = pytest.importorskip("torch", reason="this is about torch")
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match=message):
        get_backend("torch", device=device)


def test_an_apple_gpu_is_refused_in_float64_which_it_has_not(monkeypatch):
    torch = pytest.importorskip("torch", reason="this is about torch")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(BackendError, match="torch's device mps has no float64: use dtype float32 there, or device cpu"):
        get_backend("torch", device="mps", dtype="float64")


def test_jax_without_a_usable_device_says_so(monkeypatch):
    jax = pytest.importorskip("jax", reason="this is about jax")
    monkeypatch.setattr(jax, "devices", raising(RuntimeError("Unable to initialize backend 'cuda'")))
    with pytest.raises(BackendError, match="JAX is installed, but finds no usable device: Unable to initialize"):
        get_backend("jax")


def test_jax_on_a_gpu_names_its_cards_and_the_cpu_and_puts_its_first_choice_first(monkeypatch):
    jax = pytest.importorskip("jax", reason="this is about jax")
    cards = [SimpleNamespace(platform="gpu", id=n, device_kind="H200") for n in range(2)]
    cpu = [SimpleNamespace(platform="cpu", id=0, device_kind="cpu")]
    monkeypatch.setattr(jax, "devices", lambda kind=None: cpu if kind == "cpu" else cards)
    status = BACKENDS["jax"].status()
    assert (status.devices, status.details) == (("cuda:0", "cuda:1", "cpu"), "H200; cpu")
    assert [get_backend("jax", device=name).device_name for name in (None, "cuda", "cpu")] == [
        "cuda:0",
        "cuda:0",
        "cpu",
    ]


def test_auto_on_the_cpu_takes_numpy_and_says_that_it_was_asked_for():
    backend = get_backend("auto", device="cpu")
    assert (backend.name, backend.reason) == ("numpy", "the device asked for is the CPU")


def test_a_card_that_takes_no_context_is_said_to_be_unusable(fake_cupy):
    fake_cupy()

    def refuse():
        raise CUDARuntimeError("cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable")

    sys.modules["cupy"].cuda.runtime.deviceSynchronize = refuse
    with pytest.raises(BackendError, match=r"no usable NVIDIA GPU or driver: cudaErrorDevicesUnavailable"):
        get_backend("cupy")
