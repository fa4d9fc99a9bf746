"""The engine "stack": trials whose networks have one shape are trained by the same steps, in this process."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.common.errors import DivergenceError
from xpmlp.data.examples import StreamedExamples
from xpmlp.experiments.experiment import varied
from xpmlp.experiments.options import NETWORK, TRAINING, Options
from xpmlp.search._trial import ended, failed, point_of, prepare_trial, run_trial
from xpmlp.training import Member, train_many
from xpmlp.training.stacks import numbers_of_stacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.search._trial import Point, Trial

# What decides the examples, the targets, their scales or their weights, though it is among the options of training.
OF_DATA = ("loss", "class_weight")


class Candidate(NamedTuple):
    """What is to be tried: as `run_trial` takes it."""

    number: int
    settings: dict[str, Any]
    options: Options
    data: str


class _Group(NamedTuple):
    """Candidates that are trained on the same examples: the first one's experiment, and all as members."""

    first: Experiment
    candidates: list[Candidate]
    members: list[Member]


def run_stacked(candidates: Sequence[Candidate]) -> Iterator[Trial]:
    """Train candidates, as `run_trial` does to rounding, those of one shape at once; give each trial as it ends.

    Ensembles and packs, candidates on data that are read from disk by rows, and those whose stack has no room in memory
    are trained one by one.
    """
    groups: dict[Options, _Group] = {}
    for candidate in candidates:
        options, data = candidate.options, _of_data(candidate.options)
        if not options.is_ensemble and data not in groups:
            groups[data] = _Group(prepare_trial(options, candidate.data), [], [])
        if options.is_ensemble or isinstance(groups[data].first.sets["train"][0], StreamedExamples):
            yield run_trial(*candidate)
            continue
        group = groups[data]
        experiment = varied(group.first, options)
        group.candidates.append(candidate)
        model = experiment.model
        group.members.append(Member(model.network, model.layers, experiment.recipe, weights=group.first.weights))
    for group in groups.values():
        n = group.first.sets["train"][0].shape[0]
        for numbers in numbers_of_stacks(group.first.backend, group.members, n):
            yield from _run_stack(group, numbers)


def _of_data(options: Options) -> Options:
    """Return the options without those that leave the examples as they are."""
    trained = [each for each in fields(Options) if each.metadata["rich_help_panel"] in {NETWORK, TRAINING}]
    defaults: dict[str, Any] = {each.name: each.default for each in trained if each.name not in OF_DATA}
    return replace(options, **defaults)


def _run_stack(group: _Group, numbers: Sequence[int]) -> Iterator[Trial]:
    """Train some candidates of a group as one stack."""
    start, first = time.perf_counter(), group.first
    candidates = [group.candidates[number] for number in numbers]
    members = [group.members[number] for number in numbers]
    points: list[list[Point]] = [[] for _ in members]
    sets: Any = first.sets
    try:
        stack = train_many(first.backend, members, *sets["train"], evaluate=sets, units=first.model.units)
        for epoch, records in enumerate(stack, start=1):
            for own, record in zip(points, records, strict=True):
                if not isinstance(record, DivergenceError) and record.epoch == epoch:
                    own.append(point_of(record))
    except MemoryError:
        yield from (run_trial(*candidate) for candidate in candidates)
        return
    share = (time.perf_counter() - start) / len(members)
    for candidate, member, own, record in zip(candidates, members, points, records, strict=True):
        about = candidate.number, candidate.settings, member.recipe.epochs
        if isinstance(record, DivergenceError):
            yield failed(*about, record, share)
        else:
            yield ended(*about, own, record.selected.epoch, share)
