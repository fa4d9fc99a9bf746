"""Examples read ahead from disk: their order, the thread that reads them, and the training on them."""

from __future__ import annotations

import mmap
import sys
import threading
import weakref
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import open_backend
from hypothesis import given, settings
from hypothesis import strategies as st

from xpmlp import (
    SGD,
    Adam,
    Constant,
    Cosine,
    InputError,
    Network,
    OutOfMemoryError,
    Recipe,
    Scaling,
    encode,
    initialize,
    train,
)
from xpmlp.backends import get_backend
from xpmlp.backends.cupy.backend import CupyBackend
from xpmlp.backends.torch.backend import TorchBackend
from xpmlp.common.rng import make_generator
from xpmlp.data.examples import Examples, QuantizedExamples
from xpmlp.data.streams import Part, Source, Stream, load_stream
from xpmlp.data.streams.shuffle import cut, shuffled
from xpmlp.data.streams.stream import READER, prefetch
from xpmlp.training import Trainer, steps_per_epoch
from xpmlp.training.scoring import make_scorer, score_rows

N, D, M = 1003, 6, 3
ROOMY = 2**22
STANDARD = "standard", np.float32
PIXELS = "range", np.uint8


class InMemory:
    """Rows that are in memory: what a source is made of."""

    def __init__(self, array, piece_rows=1):
        self.piece_rows = piece_rows
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def read(self, start, stop, out=None):
        if out is None:
            return self.array[start:stop]
        out[...] = self.array[start:stop]
        return out


def made(dtype=np.float32, n=N):
    """Three clouds, in the range of pixels."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, M, n)
    return (40 * rng.random((n, D)) + 100 * np.eye(M, D)[y]).astype(dtype), y


class Watched(InMemory):
    """Rows that call a function before each read."""

    def __init__(self, array, call, piece_rows=1):
        super().__init__(array, piece_rows)
        self.call = call

    def read(self, start, stop, out=None):
        self.call()
        return super().read(start, stop, out)


def whole(X, y):
    """All of some examples and labels, each an array or rows, as one part."""
    X, y = (InMemory(rows) if isinstance(rows, np.ndarray) else rows for rows in (X, y))
    source = Source("made up", X, y)
    return Part(source, np.arange(len(source.blocks)))


def stream_of(backend, kind=STANDARD, n=N, chunk_bytes=ROOMY):
    """A stream, and its raw examples, their scaling and their labels."""
    X, y = made(kind[1], n)
    scaling = Scaling.fit(kind[0], X, 255.0 if kind is PIXELS else None)
    return Stream(backend, whole(X, y), np.arange(M), scaling, chunk_bytes=chunk_bytes), X, scaling, y


def laid_out(backend, X, scaling, y):
    """What in-memory training is given."""
    T = backend.asarray(encode(y, np.arange(M)))
    if X.dtype == np.uint8 and scaling.only_scales:
        return Examples(QuantizedExamples(backend.asarray(X, dtype=None), backend.asarray(scaling.factors)), T)
    return Examples(backend.asarray(scaling.apply(X, backend.dtype)), T)


def of_rows(segments, X, scaling, y):
    """What a chunk holds, as it comes."""
    rows = rows_of(segments)
    return X[rows], scaling, y[rows]


def check_same_bits(layers, others):
    for one, other in zip(layers, others, strict=True):
        np.testing.assert_array_equal(one.W, other.W)
        np.testing.assert_array_equal(one.b, other.b)


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith(READER)]


def rows_of(segments):
    return np.concatenate([np.arange(start, stop) for start, stop in segments])


def order_of(blocks, rows, seed, epoch):
    """The examples of an epoch in the order in which they are taken, chunk by chunk."""
    return [rows_of(chunk.segments)[chunk.order] for chunk in shuffled(blocks, rows, seed, epoch)]


def blocks_of(n, size):
    starts = np.arange(0, n, size)
    return np.stack([starts, np.minimum(starts + size, n)], axis=1)


@given(
    n=st.integers(1, 400),
    block=st.integers(1, 90),
    k=st.integers(1, 60),
    chunk=st.integers(1, 6),
    epoch=st.integers(1, 9),
)
@settings(deadline=None)
def test_an_epoch_has_every_example_once_in_full_minibatches_but_the_last(n, block, k, chunk, epoch):
    chunks = order_of(blocks_of(n, block), chunk * k, 3, epoch)
    assert sorted(np.concatenate(chunks)) == list(range(n))
    assert all(len(rows) == chunk * k for rows in chunks[:-1])
    assert sum(-(-len(rows) // k) for rows in chunks) == steps_per_epoch(n, k)


@given(n=st.integers(1, 300), block=st.integers(1, 50), rows=st.integers(1, 200))
@settings(deadline=None)
def test_cutting_keeps_the_order_and_reads_whole_blocks_where_they_fit(n, block, rows):
    lists = list(cut(blocks_of(n, block), rows))
    assert rows_of([segment for segments in lists for segment in segments]).tolist() == list(range(n))
    assert sum(map(len, lists)) <= len(blocks_of(n, block)) + len(lists) - 1


def test_seed_and_epoch_decide_the_order():
    blocks = blocks_of(1000, 10)
    first = np.concatenate(order_of(blocks, 200, 0, 1))
    np.testing.assert_array_equal(np.concatenate(order_of(blocks, 200, 0, 1)), first)
    for seed, epoch in ((0, 2), (1, 1)):
        assert np.mean(np.concatenate(order_of(blocks, 200, seed, epoch)) == first) < 0.05


def test_a_chunk_mixes_blocks_from_everywhere_and_its_minibatches_mix_them_all():
    """1,000 blocks of 10, 100 to a chunk: minibatches of 50 have rows of some 40 blocks, far apart in the file."""
    for rows in order_of(blocks_of(10_000, 10), 1000, 0, 1):
        assert len(np.unique(rows // 10)) >= 100
        assert abs(rows.mean() - 5000) < 1500
        for minibatch in rows.reshape(-1, 50):
            assert len(np.unique(minibatch // 10)) > 25
            assert np.ptp(minibatch) > 5000


def test_examples_of_one_block_stay_within_two_neighbouring_chunks():
    chunks = order_of(blocks_of(1000, 30), 100, 0, 1)
    where = np.empty(1000, int)
    for number, rows in enumerate(chunks):
        where[rows] = number
    assert all(np.ptp(where[start:stop]) <= 1 for start, stop in blocks_of(1000, 30))


def test_each_place_in_an_epoch_is_as_likely_for_each_example():
    """Of 12 examples in blocks of 2, over 3,000 epochs; a chi-squared of 121 degrees of freedom is below 200."""
    counts = np.zeros((12, 12))
    for epoch in range(1, 3001):
        counts[np.arange(12), np.concatenate(order_of(blocks_of(12, 2), 4, 0, epoch))] += 1
    assert ((counts - 250) ** 2 / 250).sum() < 200


def fills(count, fail_at=None, log=None):
    """Tasks that fill a list of one number, and what does them."""

    def fill(memory, task):
        if task == fail_at:
            raise InputError(f"task {task}")
        memory[0] = task
        if log is not None:
            log.append(task)
        return memory

    return fill, range(count)


def test_memory_is_filled_again_only_once_the_next_result_is_asked_for():
    fill, tasks = fills(50)
    for expected, memory in enumerate(prefetch(fill, tasks, [[0], [0]])):
        assert memory[0] == expected
    assert not readers()


def test_one_task_is_done_ahead_and_no_more():
    log = []
    fill, tasks = fills(9, log=log)
    with closing(prefetch(fill, tasks, [[0], [0]])) as results:
        next(results)
        for _ in range(200):
            if len(log) == 2:
                break
            threading.Event().wait(0.01)
        assert log == [0, 1]


def test_errors_of_the_thread_are_raised_where_its_result_is_asked_for_and_end_it():
    fill, tasks = fills(9, fail_at=3)
    found = []
    with pytest.raises(InputError, match="task 3"):
        found.extend(memory[0] for memory in prefetch(fill, tasks, [[0], [0]]))
    assert found == [0, 1, 2]
    assert not readers()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_of_what_is_done_with_the_results_ends_the_thread(error):
    fill, tasks = fills(9)

    def interrupted():
        with closing(prefetch(fill, tasks, [[0], [0]])) as results:
            next(results)
            assert readers()
            raise error

    with pytest.raises(error):
        interrupted()
    assert not readers()


def host_copy(backend, X):
    """Copies of what a step is given: a chunk holds until the next one is asked for."""
    return [backend.to_numpy(part) for part in X] if isinstance(X, QuantizedExamples) else [backend.to_numpy(X)]


@pytest.mark.parametrize("kind", [STANDARD, PIXELS, ("standard", np.uint8), ("none", np.float32), ("none", np.float16)])
def test_chunks_hold_what_is_given_in_memory_to_the_last_bit(backend32, kind):
    backend = backend32
    stream, X, scaling, y = stream_of(backend, kind, chunk_bytes=10_000)
    for epoch in (1, 2):
        chunks = stream.shuffled(4, epoch, 32)
        found = [(host_copy(backend, given.X), backend.to_numpy(given.T), order) for given, order in chunks]
        rows = found[0][2].shape[0]
        for chunk, (x, t, order) in zip(shuffled(stream.part.blocks, rows, 4, epoch), found, strict=True):
            examples = laid_out(backend, *of_rows(chunk.segments, X, scaling, y))
            for part, expected in zip(x, host_copy(backend, examples.X), strict=True):
                np.testing.assert_array_equal(part, expected, strict=True)
            np.testing.assert_array_equal(t, backend.to_numpy(examples.T), strict=True)
            np.testing.assert_array_equal(order, chunk.order)
    assert len(found) > 3


@pytest.mark.parametrize(("kind", "mode"), [(STANDARD, "matrix"), (PIXELS, "matrix"), (STANDARD, "loop")])
def test_one_chunk_is_trained_on_as_the_same_order_is_in_memory_to_the_last_bit(kind, mode):
    backend = open_backend("numpy", "float32")
    net = Network.build(D, [5], M, dropout=0.2)
    recipe = Recipe(Adam(), Constant(0.01), mode=mode, batch_size=64, epochs=2, seed=4)
    stream, X, scaling, y = stream_of(backend, kind, n=200)
    *_, record = train(backend, net, initialize(net), stream, None, recipe)
    trainer = Trainer(backend, net, recipe)
    trainer.start(initialize(net))
    for epoch in range(1, recipe.epochs + 1):
        (chunk,) = shuffled(stream.part.blocks, 256, 4, epoch)
        trainer.run_epoch(laid_out(backend, *of_rows(chunk.segments, X, scaling, y)), chunk.order)
    assert record.loss == trainer.read({})[0].loss / 200
    check_same_bits(record.layers, trainer.layers)


def test_the_loss_of_an_epoch_is_that_of_all_chunks_though_they_have_one_row():
    backend, net = open_backend("numpy", "float64"), Network.build(D, [5], M)
    recipe = Recipe(SGD(), lambda _, t: 0.0 * t, batch_size=1, epochs=1)  # weights that stay: no order is told apart
    losses = []
    for chunk_bytes in (1, ROOMY):
        stream, *_ = stream_of(backend, n=5, chunk_bytes=chunk_bytes)
        assert len(list(stream.shuffled(0, 1, 1))) == (5 if chunk_bytes == 1 else 1)
        (record,) = train(backend, net, initialize(net), stream, None, recipe)
        losses.append(record.loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_many_chunks_are_trained_on_and_scored_as_their_order_is_in_memory(backend):
    """The same minibatches in the same order, so the same weights but for rounding; and the sums of the whole epoch."""
    n, net = 308, Network.build(D, [5], M)
    recipe = Recipe(SGD(0.9), Cosine(0.05, total=64), batch_size=32, epochs=2)
    stream, X, scaling, y = stream_of(backend, n=n, chunk_bytes=10_000)
    pixels, *of_pixels = stream_of(backend, PIXELS, n, chunk_bytes=10_000)
    sets = {"all": (stream, None), "pixels": (pixels, None)}
    records = list(train(backend, net, initialize(net), stream, None, recipe, evaluate=sets))
    rows = [len(order) for _, order in stream.shuffled(0, 1, 32)]
    assert rows == [96, 96, 96, 20]
    examples = laid_out(backend, X, scaling, y)
    trainer = Trainer(backend, net, recipe)
    trainer.start(initialize(net))
    for record in records:
        order = np.concatenate(order_of(stream.part.blocks, rows[0], 0, record.epoch))
        assert trainer.run_epoch(examples, order) == record.examples == n
        (reading,) = trainer.read({"all": examples, "pixels": laid_out(backend, *of_pixels)})
        assert record.complete
        assert record.loss == pytest.approx(reading.loss / n, rel=1e-12)
        for name, score in reading.scores.items():
            assert record.scores[name].loss == pytest.approx(score.loss, rel=1e-12)
            assert record.scores[name].accuracy == score.accuracy
    assert not readers()
    for found, expected in zip(records[-1].layers, trainer.layers, strict=True):
        np.testing.assert_allclose(backend.to_numpy(found.W), backend.to_numpy(expected.W), rtol=1e-9, atol=1e-12)


def test_a_resumed_training_goes_on_to_the_same_bits():
    backend = open_backend("numpy")
    net = Network.build(D, [4], M)
    stream, *_ = stream_of(backend, chunk_bytes=20_000)
    recipe = Recipe(Adam(), Constant(0.01), batch_size=50, epochs=3)
    records = train(backend, net, initialize(net), stream, None, recipe)
    first = next(records)
    resumed = train(backend, net, initialize(net), stream, None, recipe, resume=first)
    check_same_bits(list(resumed)[-1].layers, list(records)[-1].layers)


def test_a_training_that_is_stopped_within_a_chunk_tells_how_far_it_came(backend):
    net = Network.build(D, [4], M)
    backend = type(backend)(dtype=backend.dtype, graphs=False)
    stream, *_ = stream_of(backend, chunk_bytes=20_000)
    recipe = Recipe(SGD(), Constant(0.01), batch_size=50, epochs=3)
    seen = []
    hooks = {"should_stop": lambda: len(seen) == 9, "on_step": seen.append}
    (record,) = train(backend, net, initialize(net), stream, None, recipe, **hooks)
    assert (record.examples, record.complete) == (450, False)
    assert not readers()


def test_the_work_on_a_chunk_is_waited_for_before_its_memory_is_filled_again(monkeypatch):
    """By steps and by scores, and where an epoch is stopped: a library may compute later than it is called."""
    backend, waits, fills = open_backend("numpy"), [], []
    monkeypatch.setattr(backend, "synchronize", lambda results: waits.append(len(results)))
    X, y = made(n=960)
    watched = Watched(X, lambda: fills.append(len(waits)), piece_rows=48)  # a chunk to train on, or four to score
    scaling = Scaling.fit("standard", X)
    stream = Stream(backend, whole(watched, y), np.arange(M), scaling, chunk_bytes=48 * 88)
    net, recipe = Network.build(D, [4], M), Recipe(SGD(), batch_size=24, epochs=1)
    list(train(backend, net, initialize(net), stream, None, recipe, evaluate={"all": (stream, None)}))
    assert len(fills) == 20 + 80
    assert all(waited >= number - 1 for number, waited in enumerate(fills))
    assert all(waits), "for results that there are"
    waits.clear()
    list(train(backend, net, initialize(net), stream, None, recipe, should_stop=lambda: True))
    assert len(waits) == 1


def test_scores_of_chunks_are_those_of_the_whole_set_to_the_last_bit():
    backend = open_backend("numpy", "float32")
    net = Network.build(D, [4], M)
    stream, X, scaling, y = stream_of(backend, n=20_000)
    score, layers = make_scorer(backend, net), initialize(net)
    expected = score_rows(backend, score, layers, laid_out(backend, X, scaling, y))
    assert score_rows(backend, score, layers, Examples(stream, None)) == expected


def test_a_chunk_holds_what_it_may_take_and_one_minibatch_at_least():
    backend = open_backend("numpy", "float32")
    stream, *_ = stream_of(backend, PIXELS, chunk_bytes=34 * 100)  # 6 pixels, 3 targets and 2 numbers an example
    assert [len(order) for _, order in stream.shuffled(0, 1, 30)][:2] == [90, 90]
    assert [len(order) for _, order in stream.shuffled(0, 1, 400)] == [400, 400, 203]
    for X, T, _ in stream.in_order():
        assert X.shape[0] * (4 * D + 4 * M + 16) <= 34 * 100
        assert T.shape == (X.shape[0], M)


def places(chunks):
    return {examples.X.ctypes.data for examples, _ in chunks}


def test_the_next_epoch_is_read_into_the_memory_of_the_one_before_and_no_other_is():
    """Its pages are there, and a graph knows it again; but not while it is in use, nor where an epoch was left."""
    backend = open_backend("numpy", "float32")
    stream, *_ = stream_of(backend, chunk_bytes=10_000)
    first = places(stream.shuffled(0, 1, 32))
    assert len(first) == 2
    assert places(stream.shuffled(0, 2, 32)) == first
    with closing(stream.shuffled(0, 3, 32)) as chunks:
        assert {next(chunks)[0].X.ctypes.data} < first
        assert not places(stream.shuffled(0, 3, 32)) & first
    assert not places(stream.shuffled(0, 4, 32)) & first
    memory = weakref.ref([examples.X.base for examples, _ in stream.shuffled(0, 4, 32)][-1])
    with closing(stream.shuffled(0, 5, 300)) as chunks:
        assert len(next(chunks)[1]) == 300
        assert memory() is None, "that of other sizes is given up before"


def test_what_is_scored_at_once_takes_a_quarter_of_a_chunk():
    """The two chunks that are trained on are kept meanwhile."""
    backend = open_backend("numpy", "float32")
    stream, *_ = stream_of(backend, chunk_bytes=4 * 5200)  # 52 bytes an example
    assert [examples.X.shape[0] for examples in stream.in_order()] == [100] * 10 + [3]


@pytest.mark.parametrize(
    ("value", "label", "message"),
    [
        (np.nan, 1, "holds 1 value that is NaN or infinite, .* at row 700"),
        (1e300, 1, "holds 1 value that is NaN or infinite, .* at row 700"),
        (1.0, 9, "labels that the training data do not: 9 .*first at row 700"),
    ],
)
def test_what_cannot_be_learnt_from_is_named_with_its_row_and_leaves_no_thread(value, label, message):
    backend = open_backend("numpy", "float32")
    X, y = made(np.float64)
    X[700, 2], y[700] = value, label
    net = Network.build(D, [4], M)
    stream = Stream(backend, whole(X, y), np.arange(M), Scaling.fit("none", X), chunk_bytes=5000)
    with pytest.raises(InputError, match=message):
        list(train(backend, net, initialize(net), stream, None, Recipe(batch_size=32)))
    assert not readers()


def test_a_lack_of_memory_in_the_thread_is_ours_with_the_sizes_of_a_chunk():

    def fail():
        raise MemoryError

    X, y = made()
    part = whole(X, Watched(y, fail))
    stream = Stream(open_backend("numpy", "float32"), part, np.arange(M), Scaling.fit("none", X))
    with pytest.raises(OutOfMemoryError, match=r"for chunks of 1,003 examples of 6 features"):
        next(stream.shuffled(0, 1, 32))
    assert not readers()


def test_streams_that_do_not_fit_the_training_are_refused():
    backend, other = open_backend("numpy", "float32"), open_backend("numpy", "float64")
    stream, *_ = stream_of(backend)
    recipe = Recipe()
    for place, net, T, message in (
        (backend, Network.build(D, [4], M), np.eye(3), "give None for the targets"),
        (other, Network.build(D, [4], M), None, "come in chunks on .*float32.*, but .*float64.* computes"),
        (backend, Network.build(D, [4], 2), None, "6 features and 3 targets each, but the network takes 6 and gives 2"),
    ):
        with pytest.raises(InputError, match=message):
            train(place, net, initialize(net), stream, T, recipe)
    with pytest.raises(InputError, match="chunk bytes is 0"):
        stream_of(backend, chunk_bytes=0)


def test_a_stream_and_what_it_reads_show_themselves_in_one_line(tmp_path):
    stream, *_ = stream_of(open_backend("numpy", "float32"))
    assert repr(stream.part.source) == "<Source made up: 1,003 examples of 6 features in float32, 144 blocks>"
    assert repr(stream.part) == "<Part of made up: 1,003 examples of 6 features, 144 blocks>"
    assert repr(stream) == f"<Stream of {stream.part} in 3 classes, on {stream.backend}>"
    data, parts = load_stream(save(tmp_path / "data", *made()), test=0.5)
    assert repr(data) == f"<StreamedData data: 3 classes, SHA-256 {data.sha256[:8]}...>"
    assert repr(parts) == "<Splits: train 504, test 499 examples>"


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_scaling_learnt_block_by_block_is_that_of_the_whole(dtype):
    X = made(dtype, 5000)[0]
    X[:, 3] = 7  # a constant column
    blocks = [X[start : start + 37] for start in range(0, 5000, 37)]
    for kind in ("none", "range", "standard"):
        found, expected = Scaling.fit_blocks(kind, iter(blocks), D), Scaling.fit(kind, X)
        np.testing.assert_allclose(found.shift, expected.shift, rtol=1e-12)
        np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-12)


def test_a_scaling_that_needs_no_values_asks_for_none():
    def blocks():
        raise AssertionError("read")
        yield

    assert Scaling.fit_blocks("range", blocks(), D, 255.0).scale[0] == 1 / 255
    assert Scaling.fit_blocks("none", blocks(), D).is_identity


def save(folder, X, y):
    folder.mkdir()
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    return folder


def test_parts_are_whole_blocks_that_the_seed_draws(tmp_path):
    path = save(tmp_path / "data", *made())
    _, parts = load_stream(path, validation=0.25, test=0.125, seed=1)
    train_part, validation, test = (pair[0] for pair in (parts.train, parts.validation, parts.test))
    total = len(train_part.source.blocks)
    assert (len(test.numbers), len(validation.numbers)) == (round(total / 8), round((total - round(total / 8)) / 4))
    together = np.concatenate([part.numbers for part in (train_part, validation, test)])
    assert sorted(together) == list(range(total))
    assert train_part.shape[0] + validation.shape[0] + test.shape[0] == N
    again = load_stream(path, validation=0.5, test=0.125, seed=1)[1]
    np.testing.assert_array_equal(again.test[0].numbers, test.numbers)
    assert not np.array_equal(load_stream(path, test=0.125, seed=2)[1].test[0].numbers, test.numbers)


def test_parts_that_leave_nothing_to_learn_from_are_refused(tmp_path):
    with pytest.raises(InputError, match="leave none to learn from"):
        load_stream(save(tmp_path / "few", np.eye(2), np.arange(2)), validation=0.5, test=0.5)


def test_a_class_that_is_held_out_as_a_whole_is_named(tmp_path):
    X, y = made()
    y[:] = 0
    y[:7] = 1  # the first block
    path = save(tmp_path / "rare", X, y)
    order = make_generator(0, "parts").permutation(len(load_stream(path)[1].train[0].numbers))
    share = (order.tolist().index(0) + 1) / len(order)  # up to that block
    with pytest.raises(InputError, match="class '1' of rare is in the parts held out alone"):
        load_stream(path, test=share, seed=0)
    assert load_stream(path, test=share - 1 / len(order), seed=0)[0].classes.tolist() == [0, 1]


def test_the_fingerprint_knows_every_label_and_the_ends_of_each_block(tmp_path):
    X, y = made(np.uint8)
    known = {load_stream(save(tmp_path / "data", X, y))[0].sha256}
    assert load_stream(save(tmp_path / "copy", X, y))[0].sha256 in known
    _, stop = Source("made up", InMemory(X), InMemory(y)).blocks[3]
    other = y.copy()
    other[500] = (other[500] + 1) % M
    known.add(load_stream(save(tmp_path / "labels", X, other))[0].sha256)
    for row in (0, stop - 1, stop, N - 1):
        changed = X.copy()
        changed[row, 4] += 1
        known.add(load_stream(save(tmp_path / f"row {row}", changed, y))[0].sha256)
    known.add(load_stream(save(tmp_path / "dtype", X.astype(np.uint16), y))[0].sha256)
    assert len(known) == 7


class Side:
    """A stream of a card that does what it is asked for at once, and writes it down."""

    def __init__(self, log):
        self.log, self.entered = log, 0

    def __enter__(self):
        self.entered += 1

    def __exit__(self, *_):
        self.entered -= 1

    def synchronize(self):
        self.log.append("wait")


class Card(np.ndarray):
    """Memory of a card: it is written to on the side stream alone, and read once that was waited for."""

    log: list
    side: Side

    def set(self, values, stream):
        assert stream is self.side
        assert stream.entered
        self[...] = values
        self.log.append("copy")

    def copy_(self, values, *, non_blocking):
        assert non_blocking
        self.set(np.asarray(values), self.side)

    def __array_finalize__(self, parent):
        self.log, self.side = getattr(parent, "log", None), getattr(parent, "side", None)


def on_card(log, side, shape, dtype):
    assert side.entered, "its memory belongs to the side stream"
    array = np.zeros(shape, dtype).view(Card)
    array.log, array.side = log, side
    return array


def check_staging_buffer(buffer, log):
    buffer.host[...] = np.arange(8).reshape(4, 2)
    first = buffer.send(3)
    assert log == ["copy", "wait"]
    np.testing.assert_array_equal(first, np.arange(6).reshape(3, 2))
    buffer.host[...] = -1
    np.testing.assert_array_equal(first, np.arange(6).reshape(3, 2))
    assert buffer.send(4).base is first.base, "a graph knows the memory again"
    assert log == ["copy", "wait"] * 2


def test_memory_that_jax_keeps_is_given_to_it_and_replaced(monkeypatch):
    pytest.importorskip("jax", reason="this is about jax")
    buffer = get_backend("jax").staging_buffer((4, 2), np.uint16)
    buffer.host[...] = np.arange(8).reshape(4, 2)
    address, sent = buffer.host.ctypes.data, buffer.send(3)
    buffer.host[...] = 9
    np.testing.assert_array_equal(sent, np.arange(6, dtype=np.uint16).reshape(3, 2), strict=True)
    assert sent.unsafe_buffer_pointer() == address, "JAX has copied it"

    def fail(*_):
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", fail)
    with pytest.raises(MemoryError, match="Cannot allocate"):
        buffer.send(1)


def test_cupy_copies_from_pinned_memory_on_a_stream_of_its_own(monkeypatch):
    log, side = [], None
    cupy = SimpleNamespace(cuda=SimpleNamespace(), empty=lambda shape, dtype: on_card(log, side, shape, dtype))
    side = Side(log)

    def stream(*, non_blocking):
        assert non_blocking
        return side

    cupy.cuda.Stream, cupy.cuda.Device = stream, lambda _: Side(log)
    monkeypatch.setitem(sys.modules, "cupyx", SimpleNamespace(empty_pinned=np.empty))
    backend = CupyBackend.__new__(CupyBackend)
    backend._cupy, backend.device = cupy, SimpleNamespace(id=0)
    check_staging_buffer(backend.staging_buffer((4, 2), np.dtype(np.float32)), log)


def test_torch_copies_from_pinned_memory_on_a_stream_of_its_own():
    class Pinned(np.ndarray):
        def numpy(self):
            return self.view(np.ndarray)

    log = []
    side = Side(log)

    def empty(shape, *, dtype, device=None, pin_memory=False):
        assert pin_memory is (device is None)
        return np.empty(shape, dtype).view(Pinned) if pin_memory else on_card(log, side, shape, dtype)

    cuda = SimpleNamespace(Stream=lambda _: side, stream=lambda stream: stream)
    backend = TorchBackend.__new__(TorchBackend)
    backend._torch = SimpleNamespace(empty=empty, cuda=cuda, float32=np.float32)
    backend.device = backend.device_name = "cuda:0"
    check_staging_buffer(backend.staging_buffer((4, 2), "float32"), log)
