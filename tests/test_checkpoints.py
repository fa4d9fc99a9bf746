"""Checkpoints: an interrupted run goes on to the same bytes, and a damaged file is never taken for a good one."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from xpmlp import InputError
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.models.checkpoints import load_checkpoint, previous, record_to_json, save_checkpoint
from xpmlp.models.files import load_model

CONFIGURATIONS = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "step"},
    "adam": {"optimizer": "adam"},
    "dropout": {"optimizer": "adamw", "dropout": (0.3,), "input_dropout": 0.1, "l1": (1e-4,)},
    "float64": {"dtype": "float64"},
    "patience": {"patience": 4, "min_delta": 9.0},  # the first epoch is the best, the fifth the last
}


def experiment_of(name, backend="numpy"):
    return prepare(Options(dataset="circles", hidden=(16,), epochs=6, backend=backend, **CONFIGURATIONS[name]))


def weights(experiment, record):
    return [
        experiment.backend.to_numpy(p) for layers in (record.layers, record.selected.layers) for p in chain(*layers)
    ]


def save(experiment, records, path):
    save_checkpoint(["a", "b"], records[-1], [record_to_json(r) for r in records], experiment.backend.to_numpy, path)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_resumed_run_ends_with_the_same_weights_and_scores(backend_name, tmp_path, name):
    if backend_name == "numpy-readonly":
        pytest.skip("numpy-readonly is a backend of the tests alone")
    experiment, records, paths = experiment_of(name, backend_name), [], {}
    for record in experiment.records():
        records.append(record)
        if record.epoch in {1, 4}:
            paths[record.epoch] = tmp_path / f"{record.epoch}.safetensors"
            save(experiment, records, paths[record.epoch])
    assert list(paths) == [1, 4]
    for epoch, path in paths.items():
        checkpoint = load_checkpoint(path)
        assert [record.epoch for record in checkpoint.records] == list(range(1, epoch + 1))
        assert checkpoint.records[-1].scores == records[epoch - 1].scores
        rest = list(experiment_of(name, backend_name).records(resume=checkpoint.records[-1]))
        assert [record.epoch for record in rest] == list(range(epoch + 1, 6 if name == "patience" else 7))
        for one, other in zip(records[epoch:], rest, strict=True):
            assert one.scores == other.scores
            assert one.learning_rate == other.learning_rate
            assert one.loss == other.loss
            assert one.selected.epoch == other.selected.epoch == (1 if name == "patience" else one.epoch)
            assert other.seconds > checkpoint.records[-1].seconds
        for one, other in zip(weights(experiment, records[-1]), weights(experiment, rest[-1]), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.fixture(name="checkpoint")
def a_checkpoint(tmp_path):
    """A small checkpoint after three epochs, with the one before it."""
    experiment = prepare(Options(dataset="circles", hidden=(2,), epochs=3, batch_size=400, patience=3))
    records, path = [], tmp_path / "checkpoint.safetensors"
    for record in experiment.records():
        records.append(record)
        save(experiment, records, path)
    return path


def test_the_last_two_are_kept(checkpoint):
    assert load_checkpoint(checkpoint).records[-1].epoch == 3
    assert load_checkpoint(previous(checkpoint)).records[-1].epoch == 2
    assert sorted(file.name for file in checkpoint.parent.iterdir()) == [
        "checkpoint.safetensors",
        "previous-checkpoint.safetensors",
    ]


def test_a_checkpoint_shows_itself_in_one_line(checkpoint):
    assert repr(load_checkpoint(checkpoint)) == "<Checkpoint after epoch 3>"


def arrays_of(checkpoint):
    """All arrays that a run goes on with."""
    last = checkpoint.records[-1]
    return [*chain(*last.layers, *last.best.layers, *last.state.optimizer), last.state.t]


def test_every_changed_byte_and_every_cut_is_found_or_harmless(checkpoint):
    whole = checkpoint.read_bytes()
    wanted = load_checkpoint(checkpoint)
    harmless = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        checkpoint.write_bytes(damaged)
        try:
            found = load_checkpoint(checkpoint)
        except InputError:
            continue
        harmless += 1
        assert found.run == wanted.run
        assert found.records == wanted.records
        for one, other in zip(arrays_of(found), arrays_of(wanted), strict=True):
            np.testing.assert_array_equal(one, other)
    assert harmless < 50  # padding
    for length in range(len(whole)):
        checkpoint.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cannot be read as a checkpoint|did not write it"):
            load_checkpoint(checkpoint)


def test_a_model_is_no_checkpoint_and_a_checkpoint_no_model(checkpoint, tmp_path):
    with pytest.raises(InputError, match="does not describe a model: it is a checkpoint"):
        load_model(checkpoint)
    with pytest.raises(InputError, match="there is no checkpoint at"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_state_that_another_version_wrote_is_refused(tmp_path):
    experiment, path = experiment_of("adam"), tmp_path / "checkpoint.safetensors"
    record = next(iter(experiment.records()))
    earlier = namedtuple("AdamState", "sums squares")(*record.state.optimizer)  # noqa: PYI024 - its name and fields are all
    save(experiment, [replace(record, state=record.state._replace(optimizer=earlier))], path)
    with pytest.raises(InputError, match="its AdamState has squares, sums, where this version of xpmlp has m, v"):
        load_checkpoint(path)


def test_a_record_from_a_file_is_nothing_to_resume_from(checkpoint):
    with pytest.raises(InputError, match="no state to resume from"):
        save_checkpoint(["a", "b"], load_checkpoint(checkpoint).records[0], [], np.asarray, checkpoint)
