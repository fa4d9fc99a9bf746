"""What every backend offers, whichever array library stands behind it."""

import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from conftest import open_backend

from xpmlp.backends import BACKENDS, backend_of, get_backend, statuses
from xpmlp.common.errors import BackendError, InputError

pytestmark = pytest.mark.torch_or_jax

HOST = np.array([[1.0, -2.0, 3.5], [0.0, 1e-3, 7.0]])


class Pair(NamedTuple):
    first: object
    second: object


def aligned(values):
    """Copy values to where a library may take the host's memory as its own: JAX asks for multiples of 64 bytes."""
    room = np.empty(values.nbytes + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def test_a_backend_is_known_by_its_name_with_its_dtype_and_device(backend, backend32):
    assert type(backend).name in BACKENDS
    assert isinstance(backend, BACKENDS[backend.name])
    assert (backend.dtype, backend32.dtype) == ("float64", "float32")
    assert (backend.float_dtype, backend32.float_dtype) == (backend.xp.float64, backend.xp.float32)
    assert repr(backend) == f"<xpmlp backend {backend.name} on {backend.device_name} in float64>"
    assert backend.reason == ""


def test_a_device_opens_by_the_name_that_status_gives_it(backend):
    status = BACKENDS[backend.name].status()
    assert status.name == backend.name
    assert status.version
    assert status.details
    assert backend.device_name in status.devices
    assert status.problem == ""
    again = get_backend(backend.name, device=backend.device_name, dtype="float64")
    assert again.device == backend.device
    assert again.on_device(backend.asarray(HOST))


@pytest.mark.parametrize(
    "values",
    [
        HOST,
        HOST.astype(np.float32),
        HOST > 0,
        HOST.astype(np.uint8),
        HOST.tolist(),
        7,
        np.float32(0.5),
        HOST.T,
        HOST[:, ::2],
    ],
    ids=["float64", "float32", "booleans", "bytes", "lists", "number", "scalar", "transposed", "strided"],
)
def test_asarray_and_own_move_real_numbers_of_any_kind_in_the_floating_dtype(backend, backend32, check, values):
    for there in (backend, backend32):
        expected = np.asarray(values, dtype=there.dtype)
        check(there, there.asarray(values), expected, rtol=0, atol=0)
        check(there, there.copy_to_device(values), expected, rtol=0, atol=0)


@pytest.mark.parametrize("values", [HOST, 3.0], ids=["matrix", "0-d"])
def test_own_of_an_array_of_the_backend_is_a_copy_in_its_dtype(backend, backend32, check, values):
    check(backend, backend.copy_to_device(backend.asarray(values)), values)
    check(backend32, backend32.copy_to_device(backend.asarray(values)), values, rtol=1e-6)


def test_what_is_owned_shares_no_memory_with_the_host(backend, check):
    host = aligned(HOST)
    x = backend.copy_to_device(host)
    host += 1.0
    check(backend, x, HOST)
    x += 5.0
    np.testing.assert_array_equal(host, HOST + 1.0)
    check(backend, x, HOST + 5.0)


def test_what_is_owned_shares_no_memory_with_another_array(backend, check):
    x = backend.copy_to_device(HOST)
    y = backend.copy_to_device(x)
    y += 1.0
    check(backend, x, HOST)
    x -= 1.0
    check(backend, y, HOST + 1.0)


def test_read_only_host_values_are_taken_and_stay_as_they_are(backend, check):
    host = HOST.copy()
    host.flags.writeable = False
    check(backend, backend.asarray(host), HOST)
    x = backend.copy_to_device(host)
    x *= 2.0
    check(backend, x, 2 * HOST)
    np.testing.assert_array_equal(host, HOST)


def test_to_numpy_gives_a_copy_that_may_be_written_to(backend):
    x = backend.asarray(HOST)
    host = backend.to_numpy(x)
    assert type(host) is np.ndarray
    assert host.dtype == np.float64
    host += 1.0
    np.testing.assert_array_equal(backend.to_numpy(x), HOST)
    assert backend.to_numpy(backend.asarray(2.5)).shape == ()


@pytest.mark.parametrize("values", [[3, 0, 2], 5, np.array([1, 2], dtype=np.int32)], ids=["list", "number", "int32"])
def test_asindex_gives_integers_on_the_device(backend, values):
    x = backend.asindex(values)
    assert backend.holds(x)
    assert backend.on_device(x)
    assert backend.xp.isdtype(x.dtype, "integral")
    np.testing.assert_array_equal(backend.to_numpy(x), values)


def test_an_index_of_a_single_number_counts(backend):
    t = backend.asindex(0)
    for _ in range(3):
        t += 1
    assert int(backend.to_numpy(t)) == 3


@pytest.mark.parametrize(("n", "size", "sizes"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2]), (3, 1, [1, 1, 1])])
def test_an_order_is_cut_into_minibatches_that_pick_rows(backend, check, rng, n, size, sizes):
    order, rows = rng.permutation(n), rng.normal(size=(n, 2))
    X, pieces = backend.asarray(rows), list(backend.minibatches(order, size))
    assert [piece.shape[0] for piece in pieces] == sizes
    assert all(backend.on_device(piece) for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([backend.to_numpy(piece) for piece in pieces]), order)
    for start, piece in zip(range(0, n, size), pieces, strict=True):
        check(backend, backend.xp.take(X, piece, axis=0), rows[order[start : start + size]])


def test_a_backend_holds_arrays_of_its_own_library_alone(backend):
    assert backend.holds(backend.asarray(HOST))
    assert backend.holds(backend.copy_to_device(1.0))
    assert backend.holds(HOST) == (backend.name == "numpy")
    for other in (1.0, [1.0], None, "array"):
        assert not backend.holds(other)


def test_an_array_on_another_device_is_told_apart():
    pytest.importorskip("array_api_strict", reason="its pretended devices stand in for several cards")
    first, second = (get_backend("array_api_strict", device=device) for device in ("device1", "CPU_DEVICE"))
    x = second.asarray(HOST)
    assert first.holds(x)
    assert (first.on_device(x), second.on_device(x)) == (False, True)


@pytest.mark.parametrize("donate", [(), (1,)])
def test_a_compiled_function_gives_what_the_function_gives(backend, check, donate):
    xp = backend.xp

    def function(pair, arrays, x):
        return Pair(xp.matmul(pair.first, x) + pair.second, [array * 2.0 for array in arrays])

    compiled = backend.compile(function, donate=donate)
    for scale in (1.0, 3.0):  # the second call runs what the first compiled
        W, b, x = scale * HOST, scale * np.ones(2), np.array([1.0, 2.0, scale])
        result = compiled(
            Pair(backend.copy_to_device(W), backend.copy_to_device(b)),
            [backend.copy_to_device(HOST), backend.copy_to_device(b)],
            backend.asarray(x),
        )
        assert type(result) is Pair
        check(backend, result.first, W @ x + b)
        check(backend, result.second[0], 2 * HOST)
        check(backend, result.second[1], 2 * b)


def test_a_compiled_function_that_writes_in_place_may_be_called_again_on_its_results(backend, check):
    def step(values, total):
        values -= 0.5 * values
        total += backend.xp.sum(values)
        return values, total

    compiled = backend.compile(step, donate=(0, 1))
    values, total = backend.copy_to_device(HOST), backend.copy_to_device(0.0)
    for _ in range(3):
        values, total = compiled(values, total)
    check(backend, values, HOST / 8)
    check(backend, total, HOST.sum() * (1 / 2 + 1 / 4 + 1 / 8))


def test_a_compiled_function_takes_other_shapes(backend, check):
    compiled = backend.compile(lambda x: backend.xp.sum(x, axis=0))
    for n in (1, 2):
        check(backend, compiled(backend.asarray(HOST[:n])), HOST[:n].sum(axis=0))


def test_synchronize_waits_for_a_nest_of_arrays(backend, check):
    x = backend.asarray(HOST) * 2.0
    backend.synchronize([x, (x, {"x": x})])
    check(backend, x, 2 * HOST)


def test_the_training_loops_context_says_nothing_of_overflow(backend):
    with backend.computing():
        x = backend.asarray([1e300, -1e300]) * 1e300
        difference = x[0] + x[1]
    assert backend.to_numpy(x).tolist() == [np.inf, -np.inf]
    assert np.isnan(backend.to_numpy(difference))


def test_torch_computes_without_autograd():
    torch = pytest.importorskip("torch", reason="this is about torch")
    with get_backend("torch").computing():
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_jax_compiles_once_for_a_shape():
    pytest.importorskip("jax", reason="this is about jax")
    backend, traced = get_backend("jax"), []

    def function(x):
        traced.append(x.shape)
        return x * 2.0

    compiled = backend.compile(function)
    for n in (2, 2, 1, 2):
        compiled(backend.asarray(HOST[:n]))
    assert traced == [(2, 3), (1, 3)]


def test_jax_has_integers_of_32_bits_until_float64_is_asked_for():
    pytest.importorskip("jax", reason="this is about jax")
    script = (
        "from xpmlp.backends import get_backend\n"
        "b = get_backend('jax'); print(b.asarray([1.0]).dtype, b.copy_to_device(1.0).dtype, b.asindex([1]).dtype)\n"
        "b = get_backend('jax', dtype='float64')\n"
        "print(b.asarray([1.0]).dtype, b.copy_to_device(1.0).dtype, b.asindex([1]).dtype)"
    )
    command = [sys.executable, "-W", "error", "-W", "ignore:JAX's 64-bit mode", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert result.stdout.split() == ["float32", "float32", "int32", "float64", "float64", "int64"]


def test_every_backend_has_a_status_that_names_devices_or_a_problem():
    found = statuses()
    assert [status.name for status in found] == list(BACKENDS)
    for status in found:
        assert bool(status.problem) != bool(status.version and status.devices), status


def test_float32_is_the_default_dtype_and_numpy_the_default_backend():
    assert repr(get_backend()) == "<xpmlp backend numpy on cpu in float32>"


def test_an_unknown_backend_lists_the_known_ones():
    with pytest.raises(
        InputError, match=r"backend is 'tensorflow', but must be one of: numpy, cupy, torch, jax, .*, auto"
    ):
        get_backend("tensorflow")


@pytest.mark.parametrize("name", ["numpy", "auto"])
@pytest.mark.parametrize("dtype", ["float16", "int64", ""])
def test_an_unknown_dtype_lists_the_known_ones(name, dtype):
    with pytest.raises(InputError, match=f"dtype is '{dtype}', but must be one of: float32, float64"):
        get_backend(name, dtype=dtype)


@pytest.mark.parametrize(
    "view", [lambda x: x[::-1], lambda x: x.T, lambda x: x[:, ::2]], ids=["reversed", "turned", "strided"]
)
def test_host_arrays_of_any_layout_are_taken(backend, check, view):
    host = view(np.arange(12.0).reshape(3, 4))
    check(backend, backend.asarray(host), host)
    check(backend, backend.copy_to_device(host), host)


def test_backends_are_equal_where_library_device_and_dtype_are(backend_name):
    one, same, other = (open_backend(backend_name, dtype) for dtype in ("float64", "float64", "float32"))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != backend_name


def test_an_unknown_precision_or_one_that_the_dtype_or_the_device_has_not_is_refused(backend_name):
    with pytest.raises(InputError, match="precision is 'half', but must be one of: highest, tf32"):
        get_backend("numpy", precision="half")
    with pytest.raises(InputError, match="precision tf32 is of products in float32, but dtype is float64"):
        get_backend("numpy", dtype="float64", precision="tf32")
    kind = type(open_backend(backend_name))
    if kind().device_name.startswith("cuda"):
        assert repr(kind(precision="tf32")).endswith("in float32, precision tf32>")
        return
    with pytest.raises(BackendError, match=f"precision tf32 is of NVIDIA GPUs, but backend {kind.name} computes on"):
        kind(precision="tf32")


def test_auto_refuses_a_precision_that_no_gpu_is_there_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match="CuPy is not installed"):
        get_backend("auto", precision="tf32")


@pytest.mark.parametrize(("precision", "allowed"), [("highest", False), ("tf32", True)])
@pytest.mark.parametrize("before", ["none", "ieee", "tf32"])
def test_torch_on_cuda_computes_in_the_precision_and_leaves_the_process_its_own(precision, allowed, before):
    torch = pytest.importorskip("torch", reason="this is about torch")
    backend, products = get_backend("torch"), torch.backends.cuda.matmul
    backend.device_name, backend.precision = "cuda:0", precision
    process = products.fp32_precision
    products.fp32_precision = before
    try:
        with backend.computing():
            assert (products.fp32_precision == "tf32") is allowed
            assert not torch.is_grad_enabled()
        assert products.fp32_precision == before
    finally:
        products.fp32_precision = process


@pytest.mark.parametrize("before", [False, True])
def test_torchs_older_switch_is_left_as_the_user_has_set_it(before):
    torch = pytest.importorskip("torch", reason="this is about torch")
    backend, products = get_backend("torch"), torch.backends.cuda.matmul
    backend.device_name, process = "cuda:0", products.allow_tf32
    products.allow_tf32 = before
    try:
        with backend.computing():
            assert products.fp32_precision != "tf32"
        assert products.allow_tf32 is before
    finally:
        products.allow_tf32 = process


@pytest.mark.parametrize(("precision", "jaxs"), [("highest", "highest"), ("tf32", "tensorfloat32")])
def test_jax_on_cuda_computes_in_the_precision(precision, jaxs):
    jax = pytest.importorskip("jax", reason="this is about jax")
    backend = get_backend("jax")
    backend.device_name, backend.precision = "cuda:0", precision
    before = jax.config.jax_default_matmul_precision
    with backend.computing():
        assert jax.config.jax_default_matmul_precision == jaxs
    assert jax.config.jax_default_matmul_precision == before


def test_the_backend_of_an_array_is_that_of_its_library_and_device(backend):
    found = backend_of(backend.asarray([1.0]), "float64")
    assert (found.name, found.device_name, found.dtype) == (backend.name, backend.device_name, "float64")
    with pytest.raises(InputError, match="this is list, but must be an array of one of: numpy"):
        backend_of([1.0], "float64")


def test_a_function_of_another_library_works_on_arrays_by_a_buffer_of_the_host(backend, check):
    def double(buffer):
        assert isinstance(buffer, np.ndarray)
        assert buffer.flags.c_contiguous
        buffer *= 2

    doubled = backend.with_host_buffer(double)
    check(backend, doubled(backend.copy_to_device([1.0, -2.5])), [2.0, -5.0])
    check(backend, doubled(backend.copy_to_device([4.0])), [8.0])
    x = backend.copy_to_device([3.0])
    if backend.name in {"numpy", "torch"} and backend.device_name == "cpu":
        assert doubled(x) is x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dtype_is_taken_as_libraries_have_it(backend, dtype):
    for same in (dtype, np.dtype(dtype), getattr(np, dtype), getattr(backend.xp, dtype)):
        assert get_backend(backend.name, dtype=same).dtype == dtype


def test_another_dtype_of_a_library_is_refused_by_its_name():
    with pytest.raises(InputError, match="dtype is 'int32', but must be one of: float32, float64"):
        get_backend("numpy", dtype=np.int32)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "auto"])
def test_a_device_is_taken_as_libraries_print_it(name):
    if name != "auto":
        pytest.importorskip(name, reason=f"this is about {name}")
    assert get_backend(name, "cpu:0").device_name == "cpu"
    assert get_backend(name, "cpu:0") == get_backend(name, "cpu")


def test_a_device_of_torch_is_taken_as_it_is():
    torch = pytest.importorskip("torch", reason="this is about torch")
    assert get_backend("torch", torch.device("cpu")) == get_backend("torch", "cpu")
    assert get_backend("numpy", torch.zeros(1).device, torch.float32) == get_backend("numpy")
    with pytest.raises(BackendError, match="backend numpy has no device 'meta' here"):
        get_backend("numpy", torch.device("meta"))


def test_a_tensor_in_torchs_autograd_is_taken_out_of_it(backend, check):
    torch = pytest.importorskip("torch", reason="this is about torch")
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    check(backend, backend.asarray(x), [1.0, 2.0])
    y = backend.copy_to_device(x)
    y += 1.0
    check(backend, y, [2.0, 3.0])
    assert x.tolist() == [1.0, 2.0]
    if backend.name == "torch":
        assert not y.requires_grad
        np.testing.assert_array_equal(backend.to_numpy(x * 2.0), [2.0, 4.0])
