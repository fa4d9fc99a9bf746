"""Ranks that share every minibatch: whatever their number, they end where one process does. Here they are threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import typer
from conftest import open_backend
from hypothesis import given
from hypothesis import strategies as st
from ranks import on_ranks

from xpmlp import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    DivergenceError,
    ElasticNet,
    InputError,
    Layer,
    Network,
    OutOfMemoryError,
    Recipe,
    Scaling,
    Setting,
    initialize,
    train,
    train_pack,
)
from xpmlp.cli._job import Job  # what becomes of an error on a rank is seen on threads, without MPI
from xpmlp.data.examples import Examples, QuantizedExamples
from xpmlp.data.streams import Stream, load_stream
from xpmlp.distributed import CollectiveError, share_of
from xpmlp.nn.losses import LOSSES
from xpmlp.training import Trainer
from xpmlp.training.threads import ThreadChoice

N, D, M = 22, 5, 3  # in minibatches of 7, the last has one row: fewer than ranks

PENALTY = ElasticNet((1e-3, 0.0), (1e-2, 1e-3))
RECIPES = {
    "sgd": Recipe(SGD(), Constant(0.1), batch_size=7, epochs=3),
    "nesterov with penalties": Recipe(SGD(0.9, nesterov=True), Cosine(0.05, total=12), PENALTY, batch_size=7, epochs=3),
    "adam": Recipe(Adam(), Cosine(0.01, total=12), batch_size=7, epochs=3),
    "early stopping": Recipe(Adam(), Constant(0.1), batch_size=7, epochs=9, patience=2),
    "adamw in a loop": Recipe(AdamW(weight_decay=0.1), Constant(0.01), PENALTY, mode="loop", batch_size=7, epochs=2),
}


def network():
    return Network.build(D, [6], M, activation="tanh", dropout=0.3, input_dropout=0.1)


def blobs(n=N, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, M, n)
    return rng.normal(size=(n, D)) + 2.0 * np.eye(M, D)[y], np.eye(M)[y]


@pytest.fixture
def numpy64():
    return open_backend("numpy")


def trained(backend, recipe, n=N, **options):
    """All records of a training, the sets to score among them: one has fewer examples than ranks."""
    X, T = (backend.asarray(values) for values in blobs(n))
    sets = {"train": (X, T), "validation": tuple(backend.asarray(values) for values in blobs(2, seed=9))}
    return list(train(backend, network(), initialize(network(), seed=3), X, T, recipe, evaluate=sets, **options))


def weights(backend, record):
    return [backend.to_numpy(p) for layer in record.layers for p in layer]


def check_same(backend, found, expected, rtol=1e-12):
    """Assert that the ranks' records are those of one process on NumPy, and their weights the same bits."""
    for ranks in zip(*found, strict=True):
        for others in zip(*(weights(backend, record) for record in ranks), strict=True):
            assert all(np.array_equal(others[0], other) for other in others)
    for record, wanted in zip(found[0], expected, strict=True):
        assert (record.epoch, record.examples, record.complete) == (wanted.epoch, wanted.examples, wanted.complete)
        assert record.best_epoch == wanted.best_epoch
        assert record.loss == pytest.approx(wanted.loss, rel=rtol)
        assert record.learning_rate == pytest.approx(wanted.learning_rate, rel=rtol)
        for part, score in wanted.scores.items():
            assert record.scores[part].loss == pytest.approx(score.loss, rel=rtol)
            assert record.scores[part].accuracy == pytest.approx(score.accuracy)
        for p, q in zip(weights(backend, record), weights(open_backend("numpy"), wanted), strict=True):
            np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-12)


@given(n=st.integers(0, 10_000), size=st.integers(1, 600))
def test_shares_are_all_rows_in_order_and_the_first_ranks_have_one_more(n, size):
    shares = [share_of(n, rank, size) for rank in range(size)]
    lengths = [len(share) for share in shares]
    assert [row for share in shares for row in share] == list(range(n))
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] - lengths[-1] <= 1


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", RECIPES)
def test_ranks_end_with_the_records_of_one_process(numpy64, name, size):
    found = on_ranks(size, lambda ranks: trained(numpy64, RECIPES[name], communicator=ranks))
    check_same(numpy64, found, trained(numpy64, RECIPES[name]))


@pytest.mark.parametrize(("mode", "optimizer", "n"), [("matrix", AdamW(), 3), ("loop", SGD(), 1)])
def test_so_they_do_on_every_backend(backend, numpy64, mode, optimizer, n):
    """Of three rows, or of one, which leaves none for the second rank: few shapes, as JAX compiles for each."""
    recipe = Recipe(optimizer, Constant(0.01), PENALTY, mode=mode, batch_size=n, epochs=1)
    found = on_ranks(2, lambda ranks: trained(backend, recipe, n, communicator=ranks))
    check_same(backend, found, trained(numpy64, recipe, n), rtol=1e-9)


def ensemble(backend, recipe, n=N, **options):
    """As `trained`, of three members."""
    X, T = (backend.asarray(values) for values in blobs(n))
    sets = {"train": (X, T), "validation": tuple(backend.asarray(values) for values in blobs(2, seed=9))}
    drawn = zip(*(initialize(network(), seed=seed) for seed in range(3)), strict=True)
    layers = [Layer(*map(np.stack, zip(*pairs, strict=True))) for pairs in drawn]
    return list(train(backend, network(), layers, X, T, recipe, evaluate=sets, **options))


@pytest.mark.parametrize("together", [2, 3])
@pytest.mark.parametrize("name", ["nesterov with penalties", "early stopping", "adamw in a loop"])
def test_ranks_train_an_ensemble_as_one_process_does(numpy64, monkeypatch, name, together):
    monkeypatch.setattr(type(numpy64), "stack_size", lambda *_: together)
    found = on_ranks(3, lambda ranks: ensemble(numpy64, RECIPES[name], communicator=ranks))
    expected = ensemble(numpy64, RECIPES[name])
    check_same(numpy64, found, expected)
    for part, members in expected[-1].members.items():
        assert [score.loss for score in found[2][-1].members[part]] == pytest.approx([each.loss for each in members])


def test_ranks_that_train_an_ensemble_stop_together(numpy64):
    asked = iter([False, True])

    def run(ranks):
        stop = (lambda: next(asked, True)) if ranks.rank == 1 else (lambda: False)
        return ensemble(numpy64, RECIPES["adam"], communicator=ranks, should_stop=stop)

    one, other = on_ranks(2, run)
    assert len(one) == len(other) == 1
    assert one[0].examples == other[0].examples < N


def test_ranks_train_a_pack_as_one_process_does(backend):
    X, T = (backend.asarray(values) for values in blobs())
    settings = [Setting((4,), dropout=0.2), Setting((4,), learning_rate=0.01)]

    def run(communicator=None):
        options = {"epochs": 3, "batch_size": 7, "evaluate": {"train": (X, T)}}
        pack = train_pack(backend, LOSSES["softmax"], X, T, settings, communicator=communicator, **options)
        return list(pack)

    expected = run()
    for records in on_ranks(2, run):
        assert [record.epoch for record in records] == [1, 2, 3]
        for record, wanted in zip(records, expected, strict=True):
            assert record.loss == pytest.approx(wanted.loss, rel=1e-9)
            assert record.scores["train"].loss == pytest.approx(wanted.scores["train"].loss, rel=1e-9)


def test_weighted_examples_and_a_penalised_loss_are_shared_too(backend):
    """The second minibatch has weights on one rank alone, the third one none at all."""
    X, T = (backend.asarray(values) for values in blobs(12))
    counts = backend.asarray(np.array([0.5, 1.0, 2.0, 0.3, 1.0, 2.0, 0, 0, 0, 0, 0, 0])[:, None])
    recipe = Recipe(SGD(), Constant(0.5), ElasticNet.build(2, alpha=0.3), batch_size=4, penalised=True)

    def run(communicator=None):
        trainer = Trainer(backend, network(), recipe, communicator)
        trainer.start(initialize(network(), seed=3))
        seen = trainer.run_epoch(Examples(X, T, counts), np.arange(12), rate=0.2)
        return seen, trainer.read({})[0].loss, [backend.to_numpy(p) for layer in trainer.copy_layers() for p in layer]

    seen, loss, layers = run()
    for found in on_ranks(2, run):
        assert found[0] == seen == 12
        assert found[1] == pytest.approx(loss, rel=1e-12)
        for p, q in zip(found[2], layers, strict=True):
            np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-13)


def test_examples_of_8_bits_are_shared_too(numpy64):
    values = np.random.default_rng(4).integers(0, 256, (N, D), dtype=np.uint8)
    X, T = (
        QuantizedExamples(numpy64.asarray(values, dtype=None), numpy64.asarray(np.full(D, 1 / 255))),
        numpy64.asarray(blobs()[1]),
    )
    net, recipe = Network.build(D, [6], M), RECIPES["adam"]

    def run(communicator=None):
        return list(
            train(numpy64, net, initialize(net), X, T, recipe, evaluate={"a": (X, T)}, communicator=communicator)
        )

    check_same(numpy64, on_ranks(2, run), run())


def on_disk(folder, values, targets):
    folder.mkdir()
    np.save(folder / "X.npy", values)
    np.save(folder / "y.npy", np.argmax(targets, axis=1))
    return folder


def stream_of(backend, folder):
    part = load_stream(folder)[1].train[0]
    return Stream(backend, part, np.arange(M), Scaling.fit("none", np.empty((0, D))), chunk_bytes=3_000)


def test_data_on_disk_are_read_by_every_rank_and_their_minibatches_shared(numpy64, tmp_path):
    folder = on_disk(tmp_path / "data", *blobs(300))
    net, recipe = Network.build(D, [6], M), replace(RECIPES["adam"], epochs=1)

    def run(communicator=None):
        stream = stream_of(numpy64, folder)
        sets, layers = {"train": (stream, None)}, initialize(net)
        return list(train(numpy64, net, layers, stream, None, recipe, evaluate=sets, communicator=communicator))

    check_same(numpy64, on_ranks(3, run), run())


@pytest.mark.parametrize("part", ["train", "held out"])
@pytest.mark.parametrize(("where", "rank"), [([1], 1), ([0, 1], None)])
def test_data_on_disk_that_a_rank_cannot_read_are_one_error_on_all(numpy64, tmp_path, part, where, rank):
    values, targets = blobs(300)
    written = {False: on_disk(tmp_path / "good", values, targets)}
    values[200, 1] = np.nan
    written[True] = on_disk(tmp_path / "damaged", values, targets)
    net, recipe = Network.build(D, [6], M), RECIPES["adam"]

    def run(ranks):
        damaged = ranks.rank in where
        X, held_out = (stream_of(numpy64, written[damaged and part == name]) for name in ("train", "held out"))
        sets = {"held out": (held_out, None)}
        return list(train(numpy64, net, initialize(net), X, None, recipe, evaluate=sets, communicator=ranks))

    for error in on_ranks(2, run):
        assert isinstance(error, CollectiveError)
        assert (error.rank, isinstance(error.error, InputError)) == (rank, True)
        assert "NaN or infinite, the first (nan) at row 200" in str(error)


def test_a_run_goes_on_with_another_number_of_ranks(numpy64):
    recipe = RECIPES["adam"]
    whole = trained(numpy64, recipe)
    (record, *_), *_ = on_ranks(2, lambda ranks: trained(numpy64, replace(recipe, epochs=1), communicator=ranks))
    found = on_ranks(3, lambda ranks: trained(numpy64, recipe, resume=record, communicator=ranks))
    check_same(numpy64, found, whole[1:])


def test_a_rank_that_is_told_to_stop_ends_all_a_step_later(numpy64):
    asked = iter([False, False, True])  # at its third step

    def run(ranks):
        should_stop = (lambda: next(asked, True)) if ranks.rank == 1 else (lambda: False)
        return trained(numpy64, RECIPES["sgd"], should_stop=should_stop, communicator=ranks)

    for records in on_ranks(2, run):
        assert [(record.examples, record.complete) for record in records] == [(22, True)]
    asked = iter([True])
    for records in on_ranks(2, run):
        assert [(record.examples, record.complete) for record in records] == [(14, False)]


def test_a_divergence_is_the_same_on_all_ranks(numpy64):
    net, recipe = Network.build(D, [6], M, activation="identity"), Recipe(SGD(), Constant(1e200), batch_size=7)
    X, T = (numpy64.asarray(values) for values in blobs())
    found = on_ranks(2, lambda ranks: list(train(numpy64, net, initialize(net), X, T, recipe, communicator=ranks)))
    assert all(isinstance(error, DivergenceError) for error in found)
    assert str(found[0]) == str(found[1])


class TestWhatRanksDoTogether:
    def test_each_has_its_own_result(self):
        assert on_ranks(3, lambda ranks: ranks.run_on_all(lambda: ranks.rank**2)) == [0, 1, 4]

    def test_the_first_one_has_a_result_for_all(self):
        assert on_ranks(3, lambda ranks: ranks.first(lambda: f"from {ranks.rank}")) == ["from 0"] * 3

    def test_the_first_one_of_a_machine_goes_before_the_others(self):
        called = []
        assert on_ranks(3, lambda ranks: ranks.in_turn(lambda: called.append(ranks.rank) or ranks.rank)) == [0, 1, 2]
        assert called[0] == 0

    @pytest.mark.parametrize("method", ["run_on_all", "in_turn"])
    def test_an_error_on_one_is_raised_on_all_with_its_rank(self, method):
        def fail(ranks):
            if ranks.rank == 1:
                raise InputError("no such file")

        found = on_ranks(3, lambda ranks: getattr(ranks, method)(lambda: fail(ranks)))
        assert all(isinstance(error, CollectiveError) and error.rank == 1 for error in found)
        assert all(str(error.error) == "no such file" for error in found)

    def test_an_error_of_the_first_is_raised_on_all(self):
        def fail():
            raise OSError("no room")

        found = on_ranks(2, lambda ranks: ranks.first(fail))
        assert all(isinstance(error, CollectiveError) and isinstance(error.error, OSError) for error in found)

    def test_an_error_that_all_have_names_none(self):
        def fail():
            raise InputError("no such option")

        assert [error.rank for error in on_ranks(2, lambda ranks: ranks.run_on_all(fail))] == [None, None]

    def test_the_first_that_differs_is_named(self):
        values = [1, 1, 2, 3]
        assert on_ranks(2, lambda ranks: ranks.check_same("data", values[ranks.rank])) == [None, None]
        for error in on_ranks(4, lambda ranks: ranks.check_same("data", values[ranks.rank])):
            assert isinstance(error, CollectiveError)
            assert str(error).startswith("rank 2 has other data than rank 0")


class TestHowAJobEnds:
    """By the command's own module: threads can raise each kind of error on each rank, processes take seconds."""

    def end(self, size, error):
        """The exit codes of all ranks of a job where an error is raised."""

        def work(ranks):
            try:
                with Job(ranks) as job:
                    if isinstance(error, OSError):
                        job.first(lambda: self.fail(error))
                    self.fail(error)
            except typer.Exit as ended:
                return ended.exit_code
            except SystemExit as ended:
                return f"aborted with {ended.code}"
            return None

        return on_ranks(size, work)

    @staticmethod
    def fail(error):
        raise error

    def test_a_divergence_is_told_once(self, capsys):
        assert self.end(2, DivergenceError("diverged")) == [1, 1]
        assert capsys.readouterr().err == "Error: diverged\n"

    def test_so_is_an_error_of_what_the_first_one_does_for_all(self, capsys):
        assert self.end(3, OSError("no room")) == [1, 1, 1]
        assert capsys.readouterr().err == "Error on rank 0 of 3: no room\n"

    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (OutOfMemoryError("too large"), 1, "Error: too large"),
            (InputError("wrong"), 2, "Error: wrong"),
            (ZeroDivisionError("a bug"), 1, "Traceback"),
            (KeyboardInterrupt(), 130, ""),
        ],
    )
    def test_what_one_rank_alone_has_is_told_there_and_aborts_the_job(self, capsys, error, code, said):
        assert self.end(1, error) == [f"aborted with {code}"]
        assert capsys.readouterr().err.startswith(said)

    def test_without_ranks_errors_are_left_to_others(self):
        with pytest.raises(InputError, match="wrong"), Job():
            self.fail(InputError("wrong"))


def test_ranks_make_no_trials_of_threads_whose_steps_the_others_would_wait_for(numpy64, monkeypatch):
    monkeypatch.setattr(ThreadChoice, "is_due", lambda _: True)
    monkeypatch.setattr(ThreadChoice, "choose", lambda *_: pytest.fail("a rank makes a trial"))
    found = on_ranks(2, lambda ranks: trained(numpy64, RECIPES["sgd"], communicator=ranks))
    assert all(records[-1].complete for records in found)
