"""What CuPy makes of every fused function: `cupy.fuse` traces it, and NVRTC compiles the kernel. No GPU is needed."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import FunctionType

import numpy as np
import pytest

import xpmlp
from xpmlp import SGD, Adam, AdamW, Constant, Cosine, ElasticNet, Network, Recipe, bprop, fprop, initialize, train
from xpmlp.backends.cupy.fusion import fused_kernel, numbers_in_dtype
from xpmlp.backends.elementwise import replacing
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.data.examples import QuantizedExamples
from xpmlp.estimators._losses import (  # marked bodies are tested wherever they are
    bounded_logistic,
    bounded_softmax,
    mean_squared,
)
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.schedules import StepDecay

cupy = pytest.importorskip("cupy", reason="this is about cupy", exc_type=ImportError)
standard = pytest.importorskip("array_api_compat.cupy")
nvrtc = pytest.importorskip(
    "cupy_backends.cuda.libs.nvrtc", reason="CuPy was built without NVRTC", exc_type=ImportError
)

N, D, M, K = 23, 5, 3, 10
ARCHITECTURE = "-arch=compute_90"  # an H100 or H200
NDARRAY, INDEXER, SCALAR = 1, 2, 3  # kinds of arguments in CuPy's own numbers
RECIPES = [
    Recipe(SGD(), StepDecay(0.1, 4), ElasticNet((1e-3,) * 3, (1e-2,) * 3), batch_size=K, epochs=1),
    Recipe(SGD(0.9), Constant(0.1), ElasticNet(alpha=0.1), batch_size=K, epochs=1, penalised=True),
    Recipe(SGD(0.9, nesterov=True), Cosine(0.1, total=9, warmup=2), batch_size=K, epochs=1),
    Recipe(Adam(), Constant(0.01), ElasticNet((1e-3,) * 3, (0.0, 1e-2, 0.0)), batch_size=K, epochs=1),
    Recipe(AdamW(), Cosine(0.01, total=9), batch_size=K, epochs=1),
]


def recorded(dtype):
    """What the package asks a namespace to fuse, in a dtype: bodies, functions, arguments, and what they gave."""
    asked = {}

    def fused(body):
        def call(xp, *arguments, **functions):
            kinds = tuple((x.dtype.name, x.ndim) if hasattr(x, "ndim") else x for x in arguments)
            made = body(xp, *arguments, **functions)
            results = made if isinstance(made, tuple) else (made,)
            new = tuple(np.asarray(each).dtype.name for each in results[vars(body)["inplace"] :])
            asked[body, kinds, tuple(functions.items())] = new
            return made

        return call

    backend = NumpyBackend(dtype=dtype, graphs=False)
    backend.xp = replacing(NumpyBackend.xp, fused=fused)
    for recipe in RECIPES:
        train_on_bytes(backend, recipe)
    for loss in [*LOSSES.values(), bounded_softmax, bounded_logistic, mean_squared(M)]:
        for activation in ACTIVATIONS:
            pass_through(backend, activation, loss)
    return asked


def train_on_bytes(backend, recipe):
    rng = np.random.default_rng(0)
    values = backend.asarray(rng.integers(0, 256, (N, D), dtype=np.uint8), dtype=None)
    X = QuantizedExamples(values, backend.asarray(np.full(D, 1 / 255)))
    T = backend.asarray(np.eye(M)[rng.integers(0, M, N)])
    network = Network.build(D, [6, 4], M, dropout=0.4, input_dropout=0.1)
    list(train(backend, network, initialize(network, seed=3), X, T, recipe, evaluate={"training": (X, T)}))


def pass_through(backend, activation, loss):
    network = Network.build(D, [4], M, activation=activation, loss=loss)
    layers = [type(layer)(*map(backend.asarray, layer)) for layer in initialize(network, seed=1)]
    T = backend.asarray(np.eye(M)[np.arange(K) % M])
    for scale in (1 / K, backend.asarray(np.full((K, 1), 1 / K))):
        trace = fprop(backend.xp, network, layers, backend.asarray(np.ones((K, D))))
        bprop(backend.xp, network, layers, trace, T, scale=scale)
    loss.value(backend.xp, trace.u, T)


CALLS = [(dtype, *call, new) for dtype in ("float32", "float64") for call, new in recorded(dtype).items()]


def name_of(call):
    dtype, body, _, functions, _ = call
    return "-".join([body.__name__, *(getattr(each, "__name__", str(each)) for _, each in functions), dtype])


def array(dtype, ndim):
    """An array of CuPy with a shape and a dtype, at an address that nobody reads."""
    memory = cupy.cuda.UnownedMemory(4096, 4096, None, 0)
    return cupy.ndarray((2,) * ndim, dtype, memptr=cupy.cuda.MemoryPointer(memory, 0))


@pytest.fixture
def trace(monkeypatch):
    """Call what `cupy.fuse` has made: gives the kernel that CuPy would compile and launch."""
    kernels, kernel_of = [], cupy._core._kernel.ElementwiseKernel

    def keep(*arguments, **options):
        kernels.append(kernel_of(*arguments, **options))
        return lambda *_: None

    def trace(fused, arguments):
        fused(*arguments)
        return kernels[-1]

    monkeypatch.setattr(cupy._core._kernel, "ElementwiseKernel", keep)
    return trace


def types_of_variables(kernel):
    """What a kernel computes in: the types of its variables that are no constants."""
    return set(re.findall(r"^(\w+) v\d+(?:_\d+)?;", kernel.operation, flags=re.MULTILINE))


def compile_for_the_card(kernel, kinds):
    """Compile a kernel as CuPy does when it is launched: its own functions make the source."""
    core, inner = cupy._core.core, cupy._core._kernel
    are_arrays = [isinstance(kind, tuple) for kind in kinds if kind is not None] + [True] * len(kernel.out_params)
    infos = [
        inner._ArgInfo(NDARRAY if is_array else SCALAR, cupy.ndarray, each.dtype, 2 * is_array, True, True)
        for each, is_array in zip(kernel.params, are_arrays, strict=False)
    ]
    infos.append(inner._ArgInfo(INDEXER, type(None), None, 2, True, True))
    parts = kernel.params, kernel.operation, kernel.name, kernel.preamble
    source = inner._get_elementwise_kernel_code(tuple(infos), inner._TypeMap(()), *parts)
    headers = "".join(f"#include <{header}>\n" for header in core._cupy_header_list)
    program = nvrtc.createProgram(headers + source, f"{kernel.name}.cu", (), ())
    options = (*core.assemble_cupy_compiler_options(()), ARCHITECTURE, "--device-as-default-execution-space")
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        raise AssertionError(nvrtc.getProgramLog(program) + source) from None


def test_every_marked_function_of_the_package_is_among_the_calls():
    modules = [importlib.import_module(each.name) for each in pkgutil.walk_packages(xpmlp.__path__, "xpmlp.")]
    functions = {each for module in modules for each in vars(module).values() if isinstance(each, FunctionType)}
    assert {call[1] for call in CALLS} == {each for each in functions if "inplace" in vars(each)}


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_cupy_traces_it_and_nvrtc_compiles_the_kernel(trace, call):
    dtype, body, kinds, functions, new = call
    arguments = [array(*kind) if isinstance(kind, tuple) else kind for kind in kinds]
    kernel = trace(fused_kernel(cupy, standard, body, dict(functions)), numbers_in_dtype(arguments))
    assert [np.dtype(each.dtype).name for each in kernel.out_params] == list(new)
    assert types_of_variables(kernel).isdisjoint({"float16", *({"double"} if dtype == "float32" else ())})
    compile_for_the_card(kernel, kinds)


def test_numbers_that_a_function_computes_from_numbers_are_in_the_dtype_of_the_arrays(trace):
    """CuPy computes Python's in 16 bits: 1 - 0.999 would be off by a twentieth of a percent."""
    fused = cupy.fuse(kernel_name="k")(lambda x, number: x * (1.0 - number))
    arguments = [array("float32", 2), 0.999]
    assert types_of_variables(trace(fused, arguments)) == {"float", "float16"}
    assert types_of_variables(trace(fused, numbers_in_dtype(arguments))) == {"float"}
