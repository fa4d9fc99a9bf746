"""A study: all that decides a search, checked before its first trial, as its folder keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from xpmlp.backends import get_backend
from xpmlp.common.errors import InputError
from xpmlp.common.shown import Shown
from xpmlp.common.wording import counted
from xpmlp.experiments.experiment import fingerprint, prepare
from xpmlp.experiments.options import Options, settings_text, with_tuples
from xpmlp.experiments.recipes import VALIDATION, check_options
from xpmlp.search._space import Space
from xpmlp.training.scoring import measures_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xpmlp.common.shown import Content
    from xpmlp.experiments.experiment import Experiment
    from xpmlp.search._trial import Trial

LINEAR = {name: getattr(Options, name) for name in ("activation", "dropout", "l1", "l2")} | {"hidden": (), "pack": 0}


@dataclass(frozen=True)
class Study(Shown):
    """All that decides a search.

    Attributes
    ----------
    options : Options
        What is the same for all trials.
    space : Space
        What varies.
    candidates : list of dict
        The settings to try: the options that vary, by their names in `Options`.
    halving : bool
        Whether candidates are halved, or all trained in full.
    name, data : str
        The data's name, and their fingerprint.
    measure : {"accuracy", "r2"}
        What scores of the trials have beside their loss.
    """

    options: Options
    space: Space
    candidates: list[dict[str, Any]] = field(repr=False)
    halving: bool
    name: str
    data: str
    measure: str = "accuracy"

    def __repr__(self) -> str:
        names = ", ".join(each.name.replace("_", "-") for each in self.space.dimensions)
        halved = ", halved" if self.halving else ""
        return f"<Study of {self.name}: {counted(len(self.candidates), 'candidate')} for {names}{halved}>"

    def _content(self) -> Content:
        return self.space._content()  # noqa: SLF001 - what varies

    @property
    def loss_name(self) -> str:
        """What the loss of a trial is called: "NLL" for classes, where it is none of the user's own."""
        return "NLL" if self.measure == "accuracy" and ":" not in self.options.loss else "loss"

    @property
    def by_loss(self) -> bool:
        """Whether trials are ranked by their loss: in regressions of one and the same loss, such as a quantile's."""
        return self.measure == "r2" and "loss" not in self.candidates[0]

    def options_of(self, number: int, epochs: int | None = None) -> Options:
        """Return the options of a candidate, numbered from 1; with halving, for so many epochs."""
        options = replace(self.options, **self.candidates[number - 1])
        return replace(options, epochs=epochs) if self.halving and epochs is not None else options

    def count(self, trials: Sequence[Trial]) -> str:
        """Say how many trials there are, and of how many candidates where one may have several."""
        of = f" of {counted(len(self.candidates), 'candidate')}" if self.halving else ""
        return f"{counted(len(trials), 'trial')}{of}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "options": asdict(self.options),
            "space": self.space.table,
            "source": self.space.source,
            "halving": self.halving,
            "data": {"name": self.name, "sha256": self.data},
            "measure": self.measure,
            "candidates": self.candidates,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Study:
        """Build a study from what `to_json` returned; raise an `InputError` for options and spaces out of bounds."""
        space = Space(values["space"], values["source"])
        candidates = [with_tuples(settings) for settings in values["candidates"]]
        names = {dimension.name for dimension in space.dimensions}
        if not candidates or any(set(settings) != names for settings in candidates):
            raise InputError("its candidates are not those of its space.")
        return cls(
            Options.from_json(values["options"]),
            space,
            candidates,
            bool(values["halving"]),
            values["data"]["name"],
            values["data"]["sha256"],
            values.get("measure", "accuracy"),
        )


def plan(
    options: Options,
    space: Space,
    *,
    draws: int | None = None,
    halving: bool = False,
    progress: bool = False,
    on_prepared: Callable[[Experiment], None] | None = None,
) -> Study:
    """Settle what a search tries, and check every candidate as `xpmlp train` does.

    Parameters
    ----------
    options : Options
        What is the same for all trials. Its seed also draws the candidates; with halving, its epochs are the most that
        a trial is trained for.
    space : Space
        What varies.
    draws : int, optional
        How many candidates to draw; by default every combination is one.
    halving : bool
        Whether to train all candidates for few epochs, the better third of them for three times as many, and so on.
    progress : bool
        Whether to show that of a download.
    on_prepared : callable, optional
        Told an experiment with the data and the backend of the search: for what there is to say of them.

    Raises
    ------
    InputError
        For an option that cannot be used: naming the space, and the settings of the first candidate that has it.
    BackendError
        Where the backend cannot be used.
    """
    if halving and any(dimension.name == "epochs" for dimension in space.dimensions):
        raise InputError(
            f"halving sets the epochs of each trial: leave epochs out of {space.source}, and give --epochs."
        )
    if halving and options.epochs is None:
        raise InputError("halving sets the epochs of each trial: say with --epochs how many the last ones get.")
    if options.validation is None:
        options = replace(options, validation=VALIDATION)
    if not (options.validation or options.validation_file):
        raise InputError("a search scores its trials on the validation part: give --validation a share above 0.")
    candidates = space.grid() if draws is None else space.draw(draws, options.seed)
    opened = cache(partial(get_backend, options.backend, options.device))
    for settings in candidates:
        try:
            candidate = replace(options, **settings)
            check_options(candidate)
            opened(candidate.dtype, precision=candidate.precision)
        except InputError as error:
            raise InputError(
                f"{space.source}: the trial with {settings_text(settings)} cannot be trained: {error}"
            ) from error
    # Of a network that the memory suffices for: where it does not, the trial is to say so.
    experiment = prepare(replace(options, **(candidates[0] | LINEAR)), progress=progress)
    if on_prepared is not None:
        on_prepared(experiment)
    found = experiment.options
    options = replace(options, dataset=found.dataset, data_dir=found.data_dir, backend=experiment.backend.name)
    measure = measures_of(experiment.model.network.loss)[0]
    return Study(options, space, candidates, halving, experiment.dataset.name, fingerprint(experiment.dataset), measure)
