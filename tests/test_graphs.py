"""Steps in graphs: the same weights as step by step, captured once, without asking for an array's values."""

from __future__ import annotations

import contextlib
import operator
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from devices import Cupy, GraphNumpy, Recorder

from xpmlp import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    ElasticNet,
    Network,
    Recipe,
    XpmlpWarning,
    get_backend,
    initialize,
)
from xpmlp.backends import graphs as _graphs
from xpmlp.backends.cupy.graphs import CupyStream
from xpmlp.backends.graphs import Captured
from xpmlp.backends.jax import backend as _jax
from xpmlp.backends.strict import StrictBackend
from xpmlp.backends.torch.graphs import TorchStream
from xpmlp.data.examples import Examples, QuantizedExamples
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.training import Trainer, scoring

pytestmark = pytest.mark.torch_or_jax

N, D, M, K = 23, 5, 3, 10  # minibatches of 10, 10 and 3


class Refusing(Recorder):
    """A capturer of a library that cannot capture, and says so after the work was called."""

    def capture(self, call):
        super().capture(call)
        raise NotImplementedError("cuBLAS")


class GraphStrict(StrictBackend):
    """array-api-strict on a device that is not the host: what reads a value there raises."""

    def _open(self):
        super()._open()
        self.capturer = Recorder() if self.graphs else None


class RefusedNumpy(GraphNumpy):
    kind = Refusing


def captured(function, capturer=None):
    return Captured(function, capturer or Recorder(), GraphNumpy(graphs=False).rehearse)


NETWORK = Network.build(D, [6], M, activation="tanh")
DROPOUT = Network.build(D, [6, 4], M, dropout=0.4, input_dropout=0.1)
EMBEDDED = Network.build(D, [6], M, frequencies=2, embedded=[0, 2])
CASES = {
    "adamw, cosines": (EMBEDDED, Recipe(AdamW(), Constant(0.01), batch_size=K)),
    "sgd": (NETWORK, Recipe(SGD(), Constant(0.1), batch_size=K)),
    "nesterov": (NETWORK, Recipe(SGD(0.9, nesterov=True), Cosine(0.1, total=15, warmup=2), batch_size=K)),
    "adam": (NETWORK, Recipe(Adam(), Constant(0.01), ElasticNet((1e-3, 0.0), (0.0, 1e-2)), batch_size=K)),
    "adamw, dropout": (DROPOUT, Recipe(AdamW(), Cosine(0.01, total=15, warmup=2), batch_size=K, seed=5)),
}


def examples(backend, *, scaled=False, seed=0):
    rng = np.random.default_rng(seed)
    T = backend.copy_to_device(np.eye(M)[rng.integers(0, M, N)])
    if scaled:
        values = backend.asarray(rng.integers(0, 256, (N, D), dtype=np.uint8), dtype=None)
        return Examples(QuantizedExamples(values, backend.copy_to_device(np.full(D, 1 / 255))), T)
    return Examples(backend.copy_to_device(rng.normal(size=(N, D))), T)


def trained(backend, net, recipe, *, epochs=4, weights=None, data=None, **kinds):
    """Weights, optimiser's state and readings of some epochs, as NumPy arrays; and the trainer."""
    data = data or examples(backend, **kinds)
    data = data if weights is None else data._replace(weights=backend.copy_to_device(weights))
    trainer = Trainer(backend, net, recipe)
    trainer.start(initialize(net, seed=3))
    orders, readings = np.random.default_rng(7), []
    for _ in range(epochs):
        assert trainer.run_epoch(data, orders.permutation(N)) == N
        (reading,) = trainer.read({"training": data})
        score = [value for value in vars(reading.scores["training"]).values() if value is not None]
        readings.append((reading.loss, reading.rate, *score))
    arrays = [p for layer in trainer.copy_layers() for p in layer]
    arrays += [p for part in trainer.state.optimizer for p in part]
    return [*(backend.to_numpy(p) for p in arrays), np.array(readings)], trainer


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("scaled", [False, True], ids=["floating", "8-bit"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", [GraphNumpy, GraphStrict])
def test_graphs_give_the_weights_and_scores_that_steps_give(kind, case, scaled):
    if kind is GraphStrict:
        pytest.importorskip("array_api_strict", reason="its device stands for a GPU")
    backend = kind()
    found, _ = trained(backend, *CASES[case], scaled=scaled)
    expected, _ = trained(kind(graphs=False), *CASES[case], scaled=scaled)
    assert backend.capturer.replays >= 2
    assert_same(found, expected)


def test_graphs_take_weights_of_examples():
    weights = np.random.default_rng(1).uniform(size=(N, 1))
    found, _ = trained(GraphNumpy(), *CASES["adam"], weights=weights)
    expected, _ = trained(GraphNumpy(graphs=False), *CASES["adam"], weights=weights)
    assert_same(found, expected)


def test_an_epoch_and_an_evaluation_are_captured_once_and_replayed_from_then_on():
    backend = GraphNumpy()
    trained(backend, *CASES["adam"], epochs=6)
    capturer = backend.capturer
    assert (capturer.captures, capturer.replays) == (2, 10)  # both from the second epoch on
    assert capturer.fills == 6


@pytest.mark.parametrize(("pieces", "graphs"), [(256, 1), (4, 2)])
def test_a_set_is_scored_by_few_graphs_however_few_rows_are_computed_at_a_time(monkeypatch, pieces, graphs):
    monkeypatch.setattr(GraphNumpy, "rows_at_a_time", 4)
    monkeypatch.setattr(scoring, "MAX_PIECES", pieces)
    backend = GraphNumpy()
    found, _ = trained(backend, *CASES["adam"], scaled=True, epochs=6)
    assert backend.capturer.captures == 1 + graphs  # the epoch's, and those of the set
    expected, _ = trained(GraphNumpy(graphs=False), *CASES["adam"], scaled=True, epochs=6)
    assert_same(found, expected)


def test_the_scores_of_several_sets_are_read_at_once():
    def scores(graphs):
        backend = GraphNumpy(graphs=graphs)
        trainer = Trainer(backend, *CASES["adam"])
        trainer.start(initialize(NETWORK, seed=3))
        sets = {name: examples(backend, seed=seed) for seed, name in enumerate(("train", "validation", "test"))}
        return [trainer.read(sets)[0].scores for _ in range(3)]

    assert scores(graphs=True) == scores(graphs=False)


def test_many_minibatches_are_cut_into_graphs_of_some_steps(monkeypatch):
    monkeypatch.setattr(_graphs, "MAX_STEPS", 4)
    backend, seen = GraphNumpy(), []
    recipe = Recipe(Adam(), Constant(0.01), batch_size=2)
    trainer = Trainer(backend, NETWORK, recipe)
    trainer.start(initialize(NETWORK, seed=3))
    data = examples(backend)
    for _ in range(3):
        trainer.run_epoch(data, np.arange(N), on_step=seen.append)
    assert seen == [8, 8, 7] * 3  # four steps, four, and four of which the last is of one example
    assert backend.capturer.captures == 2
    expected, _ = trained(GraphNumpy(graphs=False), NETWORK, recipe)
    assert_same(trained(GraphNumpy(), NETWORK, recipe)[0], expected)


def test_a_stop_is_asked_for_after_each_graph(monkeypatch):
    monkeypatch.setattr(_graphs, "MAX_STEPS", 4)
    backend = GraphNumpy()
    trainer = Trainer(backend, NETWORK, Recipe(Adam(), Constant(0.01), batch_size=2))
    trainer.start(initialize(NETWORK, seed=3))
    assert trainer.run_epoch(examples(backend), np.arange(N), should_stop=lambda: True) == 8


def test_other_examples_and_another_fit_are_not_taken_for_the_first():
    backend = GraphNumpy()
    trainer = Trainer(backend, *CASES["adam"])
    eager = Trainer(GraphNumpy(graphs=False), *CASES["adam"])
    data = [examples(backend, seed=seed) for seed in (0, 1)]
    for number in (0, 0, 0, 1, 1, 1, 0):
        for each in (trainer, eager):
            each.start(initialize(NETWORK, seed=number))
            for _ in range(3):
                each.run_epoch(data[number], np.arange(N))
        assert_same(
            [p for layer in trainer.copy_layers() for p in layer], [p for layer in eager.copy_layers() for p in layer]
        )


def test_what_cannot_be_captured_is_warned_of_once_and_computed_all_the_same():
    with pytest.warns(
        XpmlpWarning, match=r"could not be captured .* NotImplementedError: cuBLAS.* --no-graph"
    ) as caught:
        found, trainer = trained(RefusedNumpy(), *CASES["adam"])
    assert len(caught) == 2  # the step, and the evaluation
    assert trainer.backend.capturer.captures == 2
    expected, _ = trained(GraphNumpy(graphs=False), *CASES["adam"])
    assert_same(found, expected)


class Off(Recorder):
    """A capturer whose graphs compute something else."""

    def capture(self, call):
        replay, results = super().capture(call)

        def replay_and_spoil():
            replay()
            for values in self._leaves(results):
                values[...] = values * (1 + 1e-12)

        return replay_and_spoil, results


class Stale(Recorder):
    """A capturer whose graphs see nothing that changes: they leave again what they left at their first launch."""

    def capture(self, call):
        replay, results = super().capture(call)
        left = []

        def replay_once():
            if not left:
                replay()
                left.extend(values.copy() for values in self._leaves(results))
            for values, first in zip(self._leaves(results), left, strict=True):
                values[...] = first

        return replay_once, results


@pytest.mark.parametrize("kind", [Off, Stale])
def test_graphs_that_compute_something_else_are_found_by_rehearsals_and_warned_of_once(kind):
    class WrongNumpy(GraphNumpy):
        pass

    WrongNumpy.kind = kind
    with pytest.warns(XpmlpWarning, match=r"^the work gives other results in a graph, .* --no-graph") as caught:
        found, _ = trained(WrongNumpy(dtype="float64"), *CASES["adam"], epochs=6)
    assert len(caught) == 2  # the step, and the evaluation
    assert_same(found, trained(GraphNumpy(dtype="float64", graphs=False), *CASES["adam"], epochs=6)[0])


def test_graphs_that_were_right_twice_are_trusted():
    calls, capturer = [], Recorder()

    def double(x):
        calls.append(1)
        return 2 * x

    doubled, x = captured(double, capturer), np.arange(3.0)
    for _ in range(6):
        assert doubled(x).tolist() == [0, 2, 4]
    # As it is, captured and beside it, replayed and beside it; the stand-in calls it too where it replays.
    assert len(calls) - capturer.replays == 1 + 2 + 1


def test_a_graph_that_cannot_be_launched_is_given_up():
    class Unlaunchable(Recorder):
        def capture(self, call):
            _, results = super().capture(call)

            def replay():
                raise MemoryError("no room for the graph")

            return replay, results

    doubled = captured(lambda x: 2 * x, Unlaunchable())
    x = np.arange(3.0)
    assert doubled(x).tolist() == [0, 2, 4]
    with pytest.warns(XpmlpWarning, match="MemoryError: no room for the graph"):
        assert doubled(x).tolist() == [0, 2, 4]
    assert doubled(x).tolist() == [0, 2, 4]


def test_too_little_memory_beside_a_graph_that_was_launched_is_an_error_and_the_work_is_not_done_twice():
    x, calls = np.zeros(3), []

    def add_one(x):
        calls.append(1)
        if len(calls) > 1:
            raise MemoryError("no room beside the graph")
        x += 1
        return x

    class Adding(Recorder):
        def capture(self, call):  # noqa: ARG002 - as every capturer
            return lambda: np.add(x, 1, out=x), x

    in_graph = Captured(add_one, Adding(), GraphNumpy(graphs=False).rehearse, written=1)
    in_graph(x)
    with pytest.raises(MemoryError, match="no room beside the graph"):
        in_graph(x)
    assert x.tolist() == [2, 2, 2]


def test_the_graph_that_was_not_used_for_longest_makes_room(monkeypatch):
    monkeypatch.setattr(_graphs, "MAX_GRAPHS", 2)
    capturer = Recorder()
    doubled, buffers = captured(lambda x: 2 * x, capturer), [np.full(2, float(n)) for n in range(3)]
    for n in (0, 0, 1, 1, 0, 2, 2, 0):
        assert doubled(buffers[n]).tolist() == [2.0 * n, 2.0 * n]
    assert capturer.captures == 3
    for _ in range(2):
        assert doubled(buffers[1]).tolist() == [2.0, 2.0]
    assert capturer.captures == 4


def test_the_loop_is_not_captured():
    backend = GraphNumpy()
    trainer = Trainer(backend, NETWORK, Recipe(Adam(), Constant(0.01), batch_size=K, mode="loop"))
    trainer.start(initialize(NETWORK, seed=3))
    for _ in range(3):
        trainer.run_epoch(examples(backend), np.arange(N))
    assert backend.capturer.captures == 0


def test_graphs_are_an_option_of_a_backend_and_of_a_run():
    assert prepare(Options(dataset="circles")).backend == get_backend("numpy")
    without = prepare(Options(dataset="circles", graphs=False)).backend
    assert without != get_backend("numpy")
    assert without == get_backend("numpy", graphs=False)
    assert repr(without) == "<xpmlp backend numpy on cpu in float32, without graphs>"
    assert get_backend("auto", device="cpu", graphs=False) == without


@pytest.mark.parametrize(("case", "scaled"), [("nesterov", True), ("adamw, dropout", False)])
def test_jax_scans_over_the_full_minibatches_of_an_epoch_on_a_gpu(case, scaled, monkeypatch):
    """Asked for on the CPU, under the name of a GPU."""
    pytest.importorskip("jax", reason="this is about jax")
    monkeypatch.setattr(_jax, "MAX_STEPS", 3)
    net, recipe = CASES[case]
    recipe = replace(recipe, batch_size=4)  # three minibatches, two, and one of three examples
    backend, stepwise = get_backend("jax"), get_backend("jax")
    backend.device_name, seen = "cuda:0", []
    trainer = Trainer(backend, net, recipe)
    trainer.start(initialize(net, seed=3))
    trainer.run_epoch(examples(backend, scaled=scaled), np.arange(N), on_step=seen.append)
    assert seen == [8, 12, 3]  # the first two are a rehearsal
    found, expected = (trained(each, net, recipe, scaled=scaled)[0] for each in (backend, stepwise))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_scan_of_jax_that_computes_something_else_is_found_by_its_rehearsal(monkeypatch):
    jax = pytest.importorskip("jax", reason="this is about jax")
    scan = jax.lax.scan

    def off(*arguments):
        carried, _ = scan(*arguments)
        return jax.tree.map(lambda x: x * 1.01 if x.dtype.kind == "f" else x, carried), None

    monkeypatch.setattr(jax.lax, "scan", off)
    backend = get_backend("jax")
    backend.device_name = "cuda:0"
    with pytest.warns(XpmlpWarning, match="steps give other results in a scan, and are taken one by one") as caught:
        found, _ = trained(backend, *CASES["sgd"])
    assert len(caught) == 1
    assert_same(found, trained(get_backend("jax"), *CASES["sgd"])[0])


class Log(list):
    """What was asked of the fakes below, in order."""

    @contextlib.contextmanager
    def context(self, name):
        self.append(f"enter {name}")
        try:
            yield
        finally:
            self.append(f"leave {name}")


class CupysStream:
    """Stands for cupy.cuda.Stream."""

    def __init__(self, cupy, name):
        self.cupy, self.name, self.capturing = cupy, name, False

    def __enter__(self):
        self.outer, self.cupy.stream = self.cupy.stream, self
        self.cupy.log.append(f"enter {self.name}")

    def __exit__(self, *_):
        self.cupy.stream = self.outer
        self.cupy.log.append(f"leave {self.name}")

    def record(self):
        return f"event of {self.name}"

    def wait_event(self, event):
        self.cupy.log.append(f"{self.name} waits for {event}")

    def begin_capture(self):
        assert self.name == "own", "CuPy refuses to capture the default stream, and one that other streams wait for"
        assert not self.capturing, "CUDA refuses to begin a capture in another"
        self.capturing = True
        self.cupy.log.append("begin")

    def end_capture(self):
        assert self.capturing, "CUDA refuses to end a capture that was not begun"
        self.capturing = False
        self.cupy.log.append("end")
        if self.cupy.invalid:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return Graph(self.cupy)


class Graph:
    """Stands for cupy.cuda.Graph."""

    def __init__(self, cupy):
        self.cupy = cupy

    def launch(self):
        assert not self.cupy.stream.capturing, "a graph that is launched while work is captured becomes a part of it"
        self.cupy.log.append(f"launch on {self.cupy.stream.name}")


class CUDARuntimeError(RuntimeError):
    """Stands for cupy.cuda.runtime.CUDARuntimeError."""


class Pool:
    """Stands for cupy.cuda.MemoryPool: where CUDA has no memory, or its limit is reached, it gives its blocks back."""

    def __init__(self, allocator):
        self.allocator, self.free, self.limit = allocator, ["a block"], "of the environment"

    def __str__(self):
        return "pool"

    @property
    def malloc(self):
        return self

    def __call__(self, size):
        try:
            return self.allocator(size)
        except CUDARuntimeError:
            self.free.clear()
            raise

    def set_limit(self, *, size):
        self.limit = size


def fake_cupy(*, room=100):
    """A CuPy whose streams write down what is asked of them, on a card with so much room."""
    cupy = SimpleNamespace(log=Log(), invalid=False)
    cupy.stream = CupysStream(cupy, "callers")

    def memory(size):
        if size > room:
            raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
        return f"{size} bytes"

    cupy.cuda = SimpleNamespace(
        Stream=lambda non_blocking: CupysStream(cupy, "own" if non_blocking else "blocking"),
        Memory=memory,
        MemoryPointer=lambda memory, offset: (memory, offset),
        MemoryPool=Pool,
        runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError),
        get_current_stream=lambda: cupy.stream,
        using_allocator=cupy.log.context,
    )
    return cupy


BEFORE, AFTER = ["own waits for event of callers", "enter own"], ["callers waits for event of own", "leave own"]


def test_the_stream_of_cupy_comes_after_the_callers_and_before_what_that_does_next():
    cupy = fake_cupy()
    stream = CupyStream(cupy)
    with stream.current():
        assert cupy.stream.name == "own"
        with stream.current():
            assert cupy.stream.name == "own"
    assert cupy.log == [*BEFORE, *AFTER]
    with contextlib.suppress(KeyError), stream.current():
        raise KeyError
    assert cupy.log == [*BEFORE, *AFTER] * 2
    assert cupy.stream.name == "callers"


def test_cupys_work_is_captured_on_its_stream_with_its_memory_and_launched_on_the_current_one():
    cupy = fake_cupy()
    stream = CupyStream(cupy)
    with stream.current():
        replay, results = stream.capture(lambda: cupy.log.append("work") or "results")
        replay()
    assert results == "results"
    expected = ["enter pool", "begin", "work", "end", "leave pool", "launch on own"]
    assert cupy.log == [*BEFORE, *expected, *AFTER]


@pytest.mark.parametrize("invalid", [False, True])
def test_a_capture_of_cupy_that_fails_is_ended_and_its_first_error_is_told(invalid):
    cupy = fake_cupy()
    cupy.invalid = invalid
    stream = CupyStream(cupy)

    def work(_):
        if stream._stream.capturing:
            raise NotImplementedError("cuBLAS")
        return "results"

    in_graph, array = captured(work, stream), array_of_cupy()
    in_graph(array)
    with pytest.warns(XpmlpWarning, match="longer: NotImplementedError: cuBLAS"):
        assert while_another_error_is_handled(lambda: in_graph(array)) == "results"
    assert not stream._stream.capturing
    assert cupy.stream.name == "callers"
    assert cupy.log.count("end") == 1


def while_another_error_is_handled(call):
    try:
        return {}["of the caller"]
    except KeyError:
        return call()


def test_memory_that_graphs_of_cupy_work_on_is_kept_where_the_card_has_no_more():
    pool = CupyStream(fake_cupy(room=10))._pool
    assert pool.limit == 0
    assert pool.malloc(10) == ("10 bytes", 0)
    with pytest.raises(RuntimeError, match=r"^cudaErrorMemoryAllocation: out of memory$"):
        pool.malloc(11)
    assert pool.free == ["a block"]


def test_rows_are_copied_on_the_current_stream_of_cupy():
    cupy, copied = fake_cupy(), []
    stream = CupyStream(cupy)
    array = SimpleNamespace(set=lambda values, stream: copied.append((values, stream.name)))
    with stream.current():
        stream.fill(array, "rows")
    assert copied == [("rows", "own")]


def test_an_array_of_cupy_is_known_by_address_shape_strides_and_dtype():
    assert CupyStream(fake_cupy()).address(array_of_cupy()) == (3, (2,), (4,), np.dtype("float32"))


def array_of_cupy():
    return SimpleNamespace(data=SimpleNamespace(ptr=3), shape=(2,), strides=(4,), dtype=np.dtype("float32"))


def fake_torch():
    """A torch whose streams and graphs write down what is asked of them."""
    log = Log()
    torch = SimpleNamespace(log=log, stream="callers")

    class Stream:
        def __init__(self, name):
            self.name = name

        def __eq__(self, other):
            return self.name == other.name

        __hash__ = None

        def wait_stream(self, other):
            log.append(f"{self.name} waits for {other.name}")

    @contextlib.contextmanager
    def current(stream):
        outer, torch.stream = torch.stream, stream.name
        with log.context(stream.name):
            try:
                yield
            finally:
                torch.stream = outer

    pools = count(1)
    torch.cuda = SimpleNamespace(
        Stream=lambda _: Stream("own"),
        graph_pool_handle=lambda: f"pool {next(pools)}",
        current_stream=lambda _: Stream(torch.stream),
        stream=current,
        CUDAGraph=lambda: SimpleNamespace(replay=lambda: log.append("replay")),
        graph=lambda _, pool, stream, capture_error_mode: log.context(f"{pool} on {stream.name}, {capture_error_mode}"),
    )
    return torch


def test_torchs_work_is_captured_on_a_stream_that_is_in_order_with_the_callers():
    torch = fake_torch()
    stream = TorchStream(torch, "cuda:0")
    with stream.current(), stream.current():
        replay, results = stream.capture(lambda: torch.log.append("work") or "results")
        replay()
    assert results == "results"
    captured = ["enter pool 1 on own, thread_local", "work", "leave pool 1 on own, thread_local", "replay"]
    assert torch.log == ["own waits for callers", "enter own", *captured, "callers waits for own", "leave own"]


def test_a_capture_of_torch_that_fails_leaves_its_memory_to_no_other():
    """The end of a capture that is invalid fails in torch before the allocator is told of it."""
    torch = fake_torch()
    stream = TorchStream(torch, "cuda:0")

    def work():
        raise NotImplementedError("cuBLAS")

    with pytest.raises(NotImplementedError, match="cuBLAS"):
        stream.capture(work)
    assert torch.stream == "callers"
    stream.capture(lambda: "results")
    assert "enter pool 2 on own, thread_local" in torch.log
    assert len(stream._given_up) == 1


def test_an_array_of_torch_is_known_and_filled_where_it_lies():
    torch = pytest.importorskip("torch", reason="this is about torch")
    rows = torch.zeros(3, dtype=torch.int64)
    stream = TorchStream(SimpleNamespace(cuda=fake_torch().cuda, from_numpy=torch.from_numpy), "cuda:0")
    address = stream.address(rows)
    stream.fill(rows, np.array([2, 0, 1]))
    assert rows.tolist() == [2, 0, 1]
    assert stream.address(rows) == address == (rows.data_ptr(), (3,), (1,), torch.int64)


def dotted(stand_in, within=""):
    """Name what a stand-in's namespaces have, and what its classes can do."""
    for name, value in vars(stand_in).items():
        if not name.startswith("_"):
            yield within + name
            if isinstance(value, SimpleNamespace | type):
                yield from dotted(value, f"{within}{name}.")


@pytest.mark.parametrize(
    ("library", "stand_in"),
    [
        ("cupy", Cupy().cuda),
        ("cupy", SimpleNamespace(Stream=CupysStream, Graph=Graph, MemoryPool=Pool, using_allocator=None)),
        ("torch", fake_torch().cuda),
    ],
    ids=["cupy", "cupy's graphs", "torch"],
)
def test_a_library_that_is_installed_has_what_stands_for_it(library, stand_in):
    """No GPU is needed to look."""
    cuda = pytest.importorskip(library, reason=f"this is about {library}", exc_type=ImportError).cuda
    lacking = []
    for name in dotted(stand_in):
        try:
            operator.attrgetter(name)(cuda)
        except AttributeError:
            lacking.append(name)
    assert lacking == []
