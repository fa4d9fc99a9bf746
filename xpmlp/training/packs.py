"""Packs: networks with hyperparameters of their own, trained at once, of which an ensemble is selected meanwhile."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from xpmlp.backends import get_backend
from xpmlp.backends.rehearsal import leaves, mapped
from xpmlp.common.errors import DivergenceError, InputError
from xpmlp.common.shown import line
from xpmlp.common.validation import check_number
from xpmlp.common.wording import counted
from xpmlp.data.examples import Examples, QuantizedExamples, take_rows
from xpmlp.nn.initializers import initialize
from xpmlp.nn.mixtures import moments
from xpmlp.nn.network import Layer, Network, copy_layers, fprop
from xpmlp.nn.optimizers import AdamW
from xpmlp.nn.padding import pad
from xpmlp.nn.schedules import build_schedule
from xpmlp.training.checks import check_sets, check_weights, sets_of
from xpmlp.training.loop import Record, check_resume
from xpmlp.training.many import Stacks, StackState
from xpmlp.training.recipe import Recipe, steps_per_epoch
from xpmlp.training.scoring import make_scorer, read_scores, spread_of
from xpmlp.training.selection import assign_folds, select
from xpmlp.training.settings import Setting, divide_pack
from xpmlp.training.stacks import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.distributed import Communicator
    from xpmlp.nn.losses import Loss

SELECTIONS = 10  # in a training at least, evenly
MAX_WEIGHT_DECAY = 1.0


def train_pack(
    backend: Backend,
    loss: Loss,
    X: Array | QuantizedExamples,
    T: Array,
    settings: Sequence[Setting],
    *,
    epochs: int,
    batch_size: int = 64,
    seed: int = 0,
    patience: int | None = None,
    embedded: Sequence[int] = (),
    evaluate: Mapping[str, tuple[Array | QuantizedExamples, Array]] | None = None,
    units: Sequence[float] | None = None,
    weights: Array | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_step: Callable[[int], None] = lambda _: None,
    resume: Record | None = None,
    communicator: Communicator | None = None,
) -> Iterator[Record]:
    """Train networks of many settings at once, and select an ensemble of them meanwhile.

    Each setting is judged by the set "validation", where there is one, and else by cross-validation: it is trained five
    times, each time without another fifth of the examples, and judged by what these networks predict for the fifths
    that they have not seen. After the first epoch and at least ten times more, evenly, an ensemble is selected among
    the settings as they are now and what is in the ensemble already, as of the epoch at which it was chosen
    (`xpmlp.training.selection.select`; the manner is that of TabPack, Gorishniy et al., 2026, arXiv:2607.05380).

    Parameters
    ----------
    backend : Backend
        Where to compute; it holds the arrays that follow.
    loss : Loss
        Of all networks, with the output function.
    X : array of shape (n, d), or QuantizedExamples
        Examples.
    T : array of shape (n, m)
        Their targets.
    settings : sequence of Setting
        What to try; `draw_settings` draws some.
    epochs : int
        Passes over the examples.
    batch_size : int
        Examples of a minibatch.
    seed : int
        Of the folds, and of the weights, orders and dropout of the first network; the others have those after it.
    patience : int, optional
        End after so many epochs in which the ensemble did not become better; it is selected at least as often.
    embedded : sequence of int
        Which columns of X settings with frequencies have cosines of, as `numbers_in` finds them.
    evaluate : mapping of str to (X, T), optional
        Sets to score, by the ensemble.
    units : sequence of float, optional
        As for `train`.
    weights : array of shape (n, 1), optional
        What each example counts in training, and where settings are judged by cross-validation.
    should_stop : callable
        Asked after each epoch.
    on_step : callable
        Told the number of examples, after each epoch.
    resume : Record, optional
        To resume after; with the same arguments the rest of the training is the same.
    communicator : Communicator, optional
        As for `train`: the ranks share every minibatch, and the first one selects.

    Returns
    -------
    iterator of Record
        One an epoch. The layers are those of the ensemble so far, with a leading axis, on the backend: networks of all
        shapes are members of one stack, as `xpmlp.nn.padding.pad` makes it, and `network_of` gives its architecture.
        The loss is the mean of those of all networks in training. The state is a `PackState`.

    Raises
    ------
    InputError
        As `train_many`; for no settings, for weights below 0, and for fewer than two examples without a validation set.
    DivergenceError
        Where no network is left, or none whose predictions have a finite loss.
    """
    if not settings:
        raise InputError("there are no settings: give at least one, as draw_settings gives some.")
    check_number("epochs", epochs, at_least=1, integer=True)
    check_number("batch size", batch_size, at_least=1, integer=True)
    if patience is not None:
        check_number("patience", patience, at_least=1, integer=True)
    check_resume(resume)
    if resume is not None and not isinstance(resume.state, PackState):
        raise InputError(
            f"the record of epoch {resume.epoch} cannot be resumed from: give one of a pack, with its state."
        )
    if weights is not None:
        check_weights(backend, "the weights of the examples", weights, X.shape[0])
    sets = sets_of(evaluate)
    given = Examples(X, T, weights)
    pack = _Pack(backend, loss, given, sets, embedded=tuple(embedded), seed=seed, communicator=communicator)
    pack.start(settings, epochs, batch_size)
    if resume is not None:
        pack.resume(resume)
    stops = should_stop if communicator is None else lambda: communicator.any_rank(flag=should_stop())
    return _records(pack, units, patience, stops, on_step, resume)


class PackState(NamedTuple):
    """What a pack needs to go on after an epoch.

    Attributes
    ----------
    stacks : list of StackState
        Of the networks in training.
    chosen : list of int
        The numbers of the settings in the ensemble.
    arrays : list of ndarray
        The weights of their networks, as they were when they were chosen, on the host.
    value : float
        The loss of the ensemble, by which it was selected.
    embedded : tuple of int
        As for `train_pack`.
    """

    stacks: list[StackState]
    chosen: list[int]
    arrays: list[np.ndarray]
    value: float
    embedded: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<PackState of {counted(len(self.stacks), 'stack')}, settings {self.chosen} chosen>"


class Selected(NamedTuple):
    """A setting as it was when it was selected: its networks, one for each fold."""

    number: int  # of the setting
    layers: Sequence[Sequence[Layer]]  # of each, on the host
    moments: np.ndarray  # of the examples that it is judged by, (n, m)

    def __repr__(self) -> str:
        return line(self)


class _Pack:
    """The networks, and the ensemble that is selected of them."""

    def __init__(
        self,
        backend: Backend,
        loss: Loss,
        examples: Examples,
        sets: Mapping[str, Examples],
        *,
        embedded: tuple[int, ...],
        seed: int,
        communicator: Communicator | None,
    ) -> None:
        self.backend, self.loss, self.examples, self.sets = backend, loss, examples, sets
        self.embedded, self.seed, self.communicator = embedded, seed, communicator
        self.members: list[Member] = []
        self.selected: list[Selected] = []
        self.value = math.inf  # the loss of the ensemble
        validation = sets.get("validation")
        self._host = get_backend("numpy", dtype="float64").xp
        n, T = examples.X.shape[0], cast("Any", examples.T)
        self._judges = validation or examples._replace(weights=None)
        _, self._n_folds = divide_pack(1, n, sets)
        self._folds: np.ndarray | None = None
        if validation is None:
            if n < 2:
                raise InputError(
                    "there is one sample, but settings are judged by others than they learn from: give two at least."
                )
            self._folds = assign_folds(backend.to_numpy(T), self._n_folds, seed)
        self._T = np.asarray(backend.to_numpy(self._judges.T), np.float64)
        self._weights: np.ndarray | None = None
        if examples.weights is not None:
            weights = np.asarray(backend.to_numpy(examples.weights), np.float64)
            self._weights = weights if validation is None else None

    def start(self, settings: Sequence[Setting], epochs: int, batch_size: int) -> None:
        """Make the networks of the settings, those of one setting one after the other."""
        n = self.examples.X.shape[0]
        for setting in settings:
            for fold in range(self._n_folds):
                rows = None if self._folds is None else np.flatnonzero(self._folds != fold)
                size = n if rows is None else rows.shape[0]
                steps = steps_per_epoch(size, batch_size) * epochs
                seed = self.seed + len(self.members)
                network = Network.build(
                    self.examples.X.shape[1],
                    setting.hidden,
                    self._T.shape[1],
                    loss=self.loss,
                    dropout=setting.dropout,
                    frequencies=setting.frequencies if self.embedded else 0,
                    embedded=self.embedded,
                )
                decay = min(MAX_WEIGHT_DECAY, setting.weight_decayed / (setting.learning_rate * steps))
                recipe = Recipe(
                    AdamW(weight_decay=decay),
                    build_schedule("cosine", setting.learning_rate, steps),
                    batch_size=min(batch_size, size),
                    epochs=epochs,
                    seed=seed,
                )
                layers = initialize(network, seed=seed, frequency_scale=setting.frequency_scale)
                self.members.append(Member(network, layers, recipe, rows, self.examples.weights))
        check_sets(self.backend, self.members[0].network, self.sets)
        examples = self.examples._replace(weights=None)
        self.stacks = Stacks(self.backend, self.members, examples, {}, communicator=self.communicator)

    def copy_state(self) -> PackState:
        """Copy what it takes to go on after this epoch."""
        arrays = [*leaves([each.layers for each in self.selected])]
        chosen = [each.number for each in self.selected]
        return PackState(self.stacks.copy_state(), chosen, arrays, self.value, self.embedded)

    def resume(self, record: Record) -> None:
        """Go on after an epoch."""
        state: PackState = record.state
        self.stacks.resume(record.epoch, state.stacks, record.threads)
        self.value, arrays = state.value, iter(state.arrays)
        for number in state.chosen:
            like = [self.members[member].layers for member in self._members_of(number)]
            layers = mapped(lambda _: next(arrays), like)
            own = [mapped(self.backend.asarray, each) for each in layers]
            self.selected.append(Selected(number, layers, self._moments(number, own)))

    def _members_of(self, setting: int) -> range:
        """Return the numbers of the networks of a setting, one for each fold."""
        return range(setting * self._n_folds, (setting + 1) * self._n_folds)

    def update(self, outcomes: Sequence[Any]) -> bool:
        """Select anew among the ensemble and the settings as they are now; return whether it has become better."""
        latest = {}
        for number in range(len(self.members) // self._n_folds):
            own = [outcomes[member] for member in self._members_of(number)]
            if all(isinstance(each, Record) for each in own):
                latest[number] = [each.layers for each in own]
        found = [self._moments(number, layers) for number, layers in latest.items()]
        candidates, known, numbers = [each.moments for each in self.selected] + found, len(self.selected), [*latest]
        if not candidates:
            return False
        chosen, value = select(self._host, self.loss, np.stack(candidates), self._T, self._weights)
        if self.communicator is not None:
            chosen, value = self.communicator.broadcast((chosen, value))
        if not value < self.value:
            return False

        def as_now(number: int) -> list[list[Layer]]:
            to_numpy = self.backend.to_numpy
            return [[Layer(*(np.array(to_numpy(p)) for p in layer)) for layer in layers] for layers in latest[number]]

        self.value, self.selected = (
            value,
            [
                self.selected[place]
                if place < known
                else Selected(numbers[place - known], as_now(numbers[place - known]), candidates[place])
                for place in chosen
            ],
        )
        return True

    def _moments(self, number: int, layers: Sequence[Sequence[Layer]]) -> np.ndarray:
        """Return what the networks of a setting predict for the examples that it is judged by, (n, m), in float64."""
        backend, xp, n, members = self.backend, self.backend.xp, self._T.shape[0], self._members_of(number)
        found = np.empty((n, self.members[members[0]].network.sizes[-1]))
        for fold, member in enumerate(members):
            rows = np.arange(n) if self._folds is None else np.flatnonzero(self._folds == fold)
            for start in range(0, rows.shape[0], backend.rows_at_a_time):
                some = rows[start : start + backend.rows_at_a_time]
                X = take_rows(xp, self._judges, backend.asindex(some)).X
                u = backend.to_numpy(fprop(xp, self.members[member].network, layers[fold], X).u)
                found[some] = moments(self._host, self.loss, np.asarray(u, np.float64))
        return found

    def ensemble(self) -> tuple[Network, list[Layer]]:
        """Return the networks that are selected as a stack, on the backend."""
        networks = [self.members[n].network for each in self.selected for n in self._members_of(each.number)]
        network, layers = pad(networks, [layers for each in self.selected for layers in each.layers])
        return network, [Layer(*map(self.backend.asarray, layer)) for layer in layers]


def _records(
    pack: _Pack,
    units: Sequence[float] | None,
    patience: int | None,
    should_stop: Callable[[], bool],
    on_step: Callable[[int], None],
    resume: Record | None,
) -> Iterator[Record]:
    backend, n, start = pack.backend, pack.examples.X.shape[0], time.perf_counter()
    spreads = {name: spread_of(backend, pack.members[0].network, each, units) for name, each in pack.sets.items()}
    epochs, done, best, since = pack.members[0].recipe.epochs, 0, None, start
    if resume is not None:
        start, done, best = start - resume.seconds, resume.epoch, resume.best or replace(resume, state=None)
        best = replace(best, layers=copy_layers(backend, best.layers))
    every = max(1, min(epochs // SELECTIONS, patience or epochs))  # once before patience ends at least
    for epoch in range(done + 1, epochs + 1):
        outcomes = pack.stacks.train_epoch(start)
        running = [each for each in outcomes if isinstance(each, Record)]
        if not running:
            raise next(each for each in outcomes if isinstance(each, DivergenceError))
        on_step(n)
        if (best is None or epoch % every == 0 or epoch == epochs) and pack.update(outcomes):
            network, layers = pack.ensemble()
            score = make_scorer(backend, network, units, of_mixture=True)
            scores = {
                name: read_scores(backend, network, score, layers, each, spreads[name], ranks=pack.communicator)
                for name, each in pack.sets.items()
            }
            best = replace(
                running[0],
                layers=layers,
                scores={name: whole for name, (whole, *_) in scores.items()},
                members={name: others for name, (_, *others) in scores.items()},
                epoch=epoch,
            )
        if best is not None:
            now = time.perf_counter()
            record = replace(
                best,
                epoch=epoch,
                seconds=now - start,
                examples=n,
                examples_per_second=n / (now - since),
                learning_rate=running[0].learning_rate,
                loss=float(np.mean([each.loss for each in running])),
                state=pack.copy_state(),
                best=None if patience is None else best,
                threads=running[0].threads,
            )
            since = now
            yield record
            if should_stop() or (patience is not None and epoch - best.epoch >= patience):
                return
    if best is None:
        raise DivergenceError(
            "no ensemble was selected: of every setting a network diverged, or predicted what has no finite loss. "
            "Bring the features and the targets on a common scale.",
            None,
        )
