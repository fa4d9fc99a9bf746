"""Elementwise work as one kernel: the same results as operation by operation. `test_cupy_kernels.py` traces them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from devices import Fuser, Recorder

from xpmlp import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    ElasticNet,
    Layer,
    Network,
    Recipe,
    XpmlpWarning,
    bprop,
    fprop,
    get_backend,
    initialize,
)
from xpmlp.backends.cupy import fusion
from xpmlp.backends.cupy.backend import CupyBackend
from xpmlp.backends.cupy.fusion import Fused
from xpmlp.backends.elementwise import add_scaled, elementwise, fuse, replacing, subtract_scaled
from xpmlp.backends.graphs import Captured
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.data.examples import Examples, QuantizedExamples
from xpmlp.estimators._losses import (  # marked bodies are tested wherever they are
    bounded_logistic,
    bounded_softmax,
    mean_squared,
)
from xpmlp.nn.activations import ACTIVATIONS, Activation, d_tanh
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.schedules import StepDecay
from xpmlp.training import State, Trainer, make_step

N, D, M, K = 23, 5, 3, 10  # minibatches of 10, 10 and 3


class FusingNumpy(NumpyBackend):
    """NumPy whose elementwise work goes through the fusion of CuPy's backend."""

    def _open(self):
        super()._open()
        self.fuser = Fuser()
        self.xp = namespace(self.fuser)


def namespace(cupy):
    """NumPy's, whose elementwise work is fused by a stand-in for CuPy."""
    return replacing(NumpyBackend.xp, fused=Fused(cupy, NumpyBackend.xp, CupyBackend.is_memory_error))


def trained(backend, network, recipe, *, weights=None):
    """Weights, optimiser's state and readings of three epochs on 8-bit examples."""
    rng = np.random.default_rng(0)
    X = QuantizedExamples(
        backend.asarray(rng.integers(0, 256, (N, D), dtype=np.uint8), dtype=None),
        backend.copy_to_device(np.full(D, 1 / 255)),
    )
    T = backend.copy_to_device(np.eye(M)[rng.integers(0, M, N)])
    examples = Examples(X, T, weights)
    trainer = Trainer(backend, network, recipe)
    trainer.start(initialize(network, seed=3))
    readings = []
    for epoch in range(3):
        trainer.run_epoch(examples, np.random.default_rng(epoch).permutation(N))
        (reading,) = trainer.read({"training": examples})
        score = [value for value in vars(reading.scores["training"]).values() if value is not None]
        readings.append((reading.loss, reading.rate, *score))
    state = [p for part in trainer.state.optimizer for p in part]
    return [*(p for layer in trainer.layers for p in layer), *state, np.array(readings)]


NETWORK = Network.build(
    D, [6, 4], M, activation=["relu", "tanh"], dropout=0.4, input_dropout=0.1, frequencies=3, embedded=[0, 2]
)
RECIPES = {
    "sgd": Recipe(SGD(), StepDecay(0.1, 4), ElasticNet((0.0,) * 3, (1e-2,) * 3), batch_size=K),
    "momentum": Recipe(SGD(0.9), Constant(0.1), ElasticNet(alpha=0.1), batch_size=K, penalised=True),
    "nesterov": Recipe(SGD(0.9, nesterov=True), Cosine(0.1, total=9, warmup=2), batch_size=K),
    "adam": Recipe(Adam(), Constant(0.01), ElasticNet((1e-3,) * 3, (0.0, 1e-2, 0.0)), batch_size=K),
    "adamw": Recipe(AdamW(), Cosine(0.01, total=9), batch_size=K),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rule", RECIPES)
def test_training_gives_the_same_bits(rule, weighted):
    backend = FusingNumpy()
    weights = np.linspace(0, 1, N, dtype=np.float32)[:, None] if weighted else None
    found = trained(backend, NETWORK, RECIPES[rule], weights=weights)
    expected = trained(NumpyBackend(), NETWORK, RECIPES[rule], weights=weights)
    assert len(backend.fuser.kernels) > 100
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "loss", [*LOSSES.values(), bounded_softmax, bounded_logistic, mean_squared(M)], ids=lambda loss: loss.name
)
def test_every_activation_and_loss_can_be_fused(activation, loss, rng):
    """What could not be fused would be warned of, which is an error in these tests."""
    network = Network.build(D, [4], M, activation=activation, loss=loss)
    X, T = rng.normal(size=(K, D)), np.eye(M)[rng.integers(0, M, K)]
    layers, results = initialize(network, seed=1), []
    for backend in (FusingNumpy(dtype="float64"), NumpyBackend(dtype="float64")):
        xp = backend.xp
        trace = fprop(xp, network, layers, X)
        gradients, _ = bprop(xp, network, layers, trace, T, scale=1 / K)
        results.append([loss.value(xp, trace.u, T), *trace.z, *trace.a, *(p for layer in gradients for p in layer)])
    for fused, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(fused, plain)


class Counted(np.ndarray):
    """An array that counts the operations on it: on a GPU, each is a kernel."""

    operations = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        Counted.operations += 1
        plain = [each.view(np.ndarray) if isinstance(each, Counted) else each for each in inputs]
        into = {"out": tuple(each.view(np.ndarray) for each in out)} if out else {}
        made = getattr(ufunc, method)(*plain, **into, **options)
        return out[0] if out else counted(made)


def counted(values):
    return np.asarray(values).view(Counted)


def counting(function):
    """Count a function that is none of NumPy's ufuncs as one operation, and nothing that it calls."""

    def call(*arrays, **options):
        before = Counted.operations
        made = function(*arrays, **options)
        Counted.operations = before + 1
        return tuple(map(counted, made)) if isinstance(made, tuple) else counted(made)

    return call


def operations_of_a_step(xp):
    """Take a step of the report's final model on a few 8-bit images, on arrays that count."""
    backend = NumpyBackend()
    backend.xp = xp
    network = Network.build(784, [50], 10)
    recipe = Recipe(SGD(), Constant(0.001), ElasticNet((0.0, 0.0), (0.001, 0.001)), batch_size=K)
    trainer = Trainer(backend, network, recipe)
    trainer.start(initialize(network, init="report"))

    layers = [Layer(counted(W), counted(b)) for W, b in trainer.layers]
    state = State(trainer.state.optimizer, *map(counted, trainer.state[1:]))
    X = QuantizedExamples(counted(np.zeros((N, 784), np.uint8)), counted(np.full(784, 1 / 255, np.float32)))
    T = counted(np.eye(10, dtype=np.float32)[np.arange(N) % 10])
    Counted.operations = 0
    make_step(backend, network, recipe)(layers, state, Examples(X, T), np.arange(K))
    return Counted.operations


def test_a_step_of_the_final_model_asks_for_about_half_the_kernels():
    """The counts of docs/performance.md."""
    functions = {"take": np.take, "zeros_like": np.zeros_like, "astype": lambda x, dtype: x.astype(dtype)}
    standard = replacing(
        NumpyBackend.xp,
        matmul=np.matmul,
        max=np.max,
        sum=np.sum,
        **{name: counting(each) for name, each in functions.items()},
    )
    fused = namespace(Fuser()).fused
    fusing = replacing(standard, fused=lambda body: counting(fused(body)))
    assert (operations_of_a_step(standard), operations_of_a_step(fusing)) == (49, 29)


# What a namespace makes of it


@elementwise(inplace=1)
def grown(xp, x, step, factor, *, function=np.exp):
    """Grow an array in place; give it and its exponential."""
    x += factor * step
    return x, function(x)


def grow(xp, x, factor=2.0):
    return fuse(xp, grown)(xp, x, np.ones(3), factor)


def test_a_namespace_without_fusion_is_given_the_body():
    x = np.zeros(3)
    found, exponential = grow(np, x)
    assert found is x
    assert found.tolist() == [2.0, 2.0, 2.0]
    np.testing.assert_array_equal(exponential, np.exp(x))


def test_updated_arrays_are_the_arguments_and_the_rest_is_new():
    x, fuser = np.zeros(3), Fuser()
    found, exponential = grow(namespace(fuser), x)
    assert found is x
    assert found.tolist() == [2.0, 2.0, 2.0]
    np.testing.assert_array_equal(exponential, np.exp(x))
    assert fuser.kernels == ["grown"]


@pytest.mark.parametrize("rule", RECIPES)
def test_each_body_says_how_many_arrays_it_updates_in_place(rule):
    """One that says more than it updates, or fewer, would cost a copy of the weights, or lose an update."""
    updated = {}

    def fused(body):
        def computed(xp, *arguments, **functions):
            results = body(xp, *arguments, **functions)
            together = results if isinstance(results, tuple) else (results,)
            same = [found is given for found, given in zip(together, arguments, strict=False)]
            updated[body.__name__] = (body.inplace, (*same, False).index(False))
            return results

        return computed

    backend = NumpyBackend(graphs=False)
    backend.xp = replacing(NumpyBackend.xp, fused=fused)
    trained(backend, NETWORK, RECIPES[rule], weights=np.linspace(0, 1, N, dtype=np.float32)[:, None])
    assert len(updated) > 4
    assert {name: said for name, (said, _) in updated.items()} == {name: done for name, (_, done) in updated.items()}


class Counting(Fuser):
    """A fusion that counts what is compiled."""

    def __init__(self):
        super().__init__()
        self.compiled = []

    def fuse(self, *, kernel_name):
        self.compiled.append(kernel_name)
        return super().fuse(kernel_name=kernel_name)


def test_numbers_are_arguments_of_a_kernel_which_is_made_once_for_all():
    fuser = Counting()
    xp = namespace(fuser)
    for factor in (1.0, 2.0, 1.0, 0.5):
        assert grow(xp, np.zeros(3), factor)[0].tolist() == [factor] * 3
    assert fuser.compiled == ["grown"]


def test_the_outputs_that_a_loss_is_a_mean_over_are_such_a_number():
    fuser = Counting()
    xp = namespace(fuser)
    for n in (2, 3):
        assert mean_squared(n).value(xp, np.zeros((5, n)), np.ones((5, n))) == pytest.approx(2.5)
    assert fuser.compiled == ["_terms"]
    assert mean_squared(3) == mean_squared(3) != mean_squared(2)


def test_each_function_has_a_kernel_of_its_own_and_the_one_that_was_not_used_for_longest_makes_room(monkeypatch):
    monkeypatch.setattr(fusion, "MAX_KERNELS", 2)
    fuser = Counting()
    xp, every = namespace(fuser), list(LOSSES.values())[:3]
    for loss in [*every, every[2], every[0]]:
        loss.value(xp, np.full((2, 2), -1.0), np.eye(2))
    assert fuser.compiled.count("_terms") == 4


def test_a_function_of_ones_own_is_not_fused_as_it_may_change_and_nothing_keeps_it_alive():
    class Own:
        factor = 1.0

        def __call__(self, xp, z):
            return self.factor * xp.tanh(z)

    own, fuser, X = Own(), Fuser(), np.ones((K, D))
    network = Network.build(D, [4], M, activation=Activation("own", own, d_tanh))
    xp, layers = namespace(fuser), initialize(network, seed=1)
    first = fprop(xp, network, layers, X).a[1]
    own.factor = 2.0
    np.testing.assert_array_equal(fprop(xp, network, layers, X).a[1], 2.0 * first)
    assert fuser.kernels, "softmax is ours"
    gone = weakref.ref(own)
    del own, network
    gc.collect()
    assert gone() is None


class Failing(Fuser):
    """A fusion that fails, as long as it has an error, when a kernel is launched."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def fuse(self, *, kernel_name):
        def fuse(function):
            def kernel(*arguments):
                self.kernels.append(kernel_name)
                if self.error is not None:
                    raise self.error
                return function(*arguments)

            return kernel

        return fuse


def test_what_cannot_be_fused_is_warned_of_once_and_computed_all_the_same():
    fuser, x = Failing(NotImplementedError("no such kernel")), np.zeros(3)
    xp = namespace(fuser)
    with pytest.warns(XpmlpWarning, match=r"^grown could not be fused .* NotImplementedError: no such kernel$"):
        found, _ = grow(xp, x)
    assert found is x
    grow(xp, x)
    assert x.tolist() == [4.0, 4.0, 4.0]
    assert fuser.kernels == ["grown"]


class Wrong(Fuser):
    """A fusion whose kernels are off by so many times the smallest difference in float64, relative to what is right."""

    def __init__(self, roundings):
        super().__init__()
        self.error = roundings * np.finfo(np.float64).eps

    def fuse(self, *, kernel_name):
        right = super().fuse(kernel_name=kernel_name)
        return lambda function: lambda *arguments: (1.0 + self.error) * right(function)(*arguments)


def test_a_kernel_that_computes_wrong_is_warned_of_once_and_not_asked_again():
    fuser, x = Wrong(10_000), np.zeros(3)
    xp = namespace(fuser)
    with pytest.warns(XpmlpWarning, match="^grown gives other results as one kernel, and is computed operation by"):
        found, exponential = grow(xp, x)
    np.testing.assert_array_equal(exponential, np.exp(found))
    grow(xp, x)
    assert fuser.kernels == ["grown"]


def test_a_kernel_may_round_otherwise_and_each_combination_of_dtypes_and_dimensions_is_rehearsed():
    fuser = Wrong(100)
    xp = namespace(fuser)
    grow(xp, np.zeros(3))
    fuser.error = 1.0  # for this combination it is trusted by now
    assert grow(xp, np.zeros(3))[1][0] == pytest.approx(2.0 * np.exp(2.0))
    with pytest.warns(XpmlpWarning, match="grown gives other results"):
        grow(xp, np.zeros((3, 3)))


@pytest.mark.parametrize(
    "error", [MemoryError("the card is full"), RuntimeError("cudaErrorMemoryAllocation: out of memory")]
)
def test_too_little_memory_is_no_failure_of_fusion(error):
    x, fuser = np.zeros(3), Failing(error)
    xp = namespace(fuser)
    with pytest.raises(type(error), match=str(error)):
        grow(xp, x)
    assert not x.any()
    fuser.error = None
    grow(xp, x)
    assert fuser.kernels == ["grown", "grown"], "it is fused as soon as there is room"


def test_a_capture_without_room_for_a_kernel_is_not_told_as_a_failure_of_fusion():
    fuser = Failing(None)
    xp, x = namespace(fuser), np.zeros(3)

    class Full(Recorder):
        def capture(self, call):
            fuser.error = RuntimeError("cudaErrorMemoryAllocation: out of memory")
            try:
                return super().capture(call)
            finally:
                fuser.error = None

    in_graph = Captured(lambda x: grow(xp, x), Full(), NumpyBackend().rehearse, written=1)
    in_graph(x)
    with pytest.warns(XpmlpWarning, match=r"^the work could not be captured .* cudaErrorMemoryAllocation: out of"):
        in_graph(x)
    assert x.tolist() == [4.0, 4.0, 4.0]
    before = len(fuser.kernels)
    grow(xp, x)
    assert len(fuser.kernels) == before + 1


@elementwise(inplace=2)
def shift(xp, x, y, factor, u, v, number):
    x, y = add_scaled(xp, x, factor, u), subtract_scaled(xp, y, factor, v)
    return add_scaled(xp, x, number, u), subtract_scaled(xp, y, number, u)


def test_scaled_arrays_are_added_and_subtracted_in_place_where_the_library_can(backend, check, rng):
    x, y, u, v = rng.normal(size=(4, 7, 3))
    given = [backend.copy_to_device(each) for each in (x, y)]
    factor, others = backend.asarray(0.3), [backend.copy_to_device(each) for each in (u, v)]
    found = fuse(backend.xp, shift)(backend.xp, *given, factor, *others, 0.25)
    check(backend, found[0], x + 0.3 * u + 0.25 * u)
    check(backend, found[1], y - 0.3 * v - 0.25 * u)
    if backend.name != "jax":
        assert found[0] is given[0]
        assert found[1] is given[1]


def test_torch_adds_and_subtracts_scaled_arrays_in_one_pass():
    torch = pytest.importorskip("torch")
    profile = pytest.importorskip("torch.autograd.profiler").profile
    xp, x, u = get_backend("torch").xp, torch.zeros(5, 4), torch.ones(5, 4)
    rate = torch.tensor(0.5)
    with profile() as asked:
        fuse(xp, shift)(xp, x, x, rate, u, u, 2.0)
    assert sorted(event.name for event in asked.function_events) == [
        "aten::add_",
        "aten::addcmul_",
        "aten::addcmul_",
        "aten::sub_",
    ]
    assert not x.any()
