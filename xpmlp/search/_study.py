"""A study: all that decides a search, checked before its first trial, as its folder keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from xpmlp.errors import InputError
from xpmlp.experiments import fingerprint, prepare
from xpmlp.options import Options, written
from xpmlp.search._space import Space

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Study", "plan"]


@dataclass(frozen=True)
class Study:
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
    """

    options: Options
    space: Space
    candidates: list[dict[str, Any]]
    halving: bool
    name: str
    data: str

    def options_of(self, number: int, epochs: int | None = None) -> Options:
        """Return the options of a candidate, numbered from 1; with halving, for so many epochs."""
        options = replace(self.options, **self.candidates[number - 1])
        return options if epochs is None else replace(options, epochs=epochs)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "options": asdict(self.options),
            "space": self.space.table,
            "source": self.space.source,
            "halving": self.halving,
            "data": {"name": self.name, "sha256": self.data},
            "candidates": self.candidates,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Study:
        """Build a study from what `to_json` gave.

        Raises
        ------
        InputError
            For options and spaces that cannot be used.
        KeyError, TypeError, AttributeError
            For values of another form.
        """
        lists = [
            {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
            for settings in values["candidates"]
        ]
        return cls(
            Options.from_json(values["options"]),
            Space(values["space"], values["source"]),
            lists,
            bool(values["halving"]),
            values["data"]["name"],
            values["data"]["sha256"],
        )


def plan(
    options: Options, space: Space, *, draws: int | None = None, halving: bool = False, progress: bool = False
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

    Raises
    ------
    InputError
        For an option that cannot be used: naming the space, and the settings of the first candidate that has it.
    """
    if halving and (options.epochs is None or any(dimension.name == "epochs" for dimension in space.dimensions)):
        raise InputError(
            "halving shares out epochs: say with --epochs how many the last trials are trained for, and leave epochs "
            f"out of {space.source}."
        )
    candidates = space.grid() if draws is None else space.draw(draws, options.seed)
    for settings in candidates:
        _check(options, settings, space.source)
    experiment = prepare(replace(options, **candidates[0]), progress=progress)
    if "validation" not in experiment.sets:
        raise InputError("a search scores its trials on the validation part: give --validation a share above 0.")
    found = experiment.options
    options = replace(options, dataset=found.dataset, data_dir=found.data_dir, backend=experiment.backend.name)
    return Study(options, space, candidates, halving, experiment.dataset.name, fingerprint(experiment.dataset))


def _check(options: Options, settings: dict[str, Any], source: str) -> None:
    """Let a training on the circles be prepared, which takes no time, to have all options checked."""
    try:
        prepare(replace(options, **settings, dataset="circles", target=None, data_dir=None))
    except InputError as error:
        listed = ", ".join(f"{name.replace('_', '-')} = {written(value)}" for name, value in settings.items())
        raise InputError(f"{source}: the trial with {listed} cannot be trained: {error}") from error
