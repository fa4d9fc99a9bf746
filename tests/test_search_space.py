"""What a search tries: spaces, grids, draws, and the check of all candidates before the first trial."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from searches import GRID, QUICK

from xpmlp import InputError
from xpmlp.experiments.options import Options
from xpmlp.search import Space, Study, plan


@pytest.fixture(scope="module")
def study():
    return plan(QUICK, Space(GRID))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "space.toml names no option to vary"),
        ("hidden = [", "space.toml cannot be read as TOML"),
        ("colour = [1]", "an option of .*space.toml is 'colour', but must be one of: .*learning-rate"),
        ("learning_rate = [0.1]", "an option of .*space.toml is 'learning_rate'"),
        ("seed = [0, 1]", "space.toml: seed is the same for all trials"),
        ("hidden = []", "space.toml: hidden has no values"),
        ("hidden = 50", r"space.toml: hidden is 50, but must be a list of values, or a table"),
        ("hidden = [50, 2.5]", "space.toml: hidden: 2.5 must be a whole number"),
        ("hidden = [true]", "space.toml: hidden: True must be a whole number"),
        ("hidden = [[16, 'a']]", "space.toml: hidden: 'a' must be a whole number"),
        ("learning-rate = ['fast']", "space.toml: learning-rate: 'fast' must be a number"),
        ("nesterov = [1]", "space.toml: nesterov: 1 must be true or false"),
        ("l2 = { normal = [0, 1] }", "space.toml: l2: the distribution is 'normal', but must be one of: uniform"),
        ("l2 = { uniform = [0, 1], integers = [0, 1] }", "space.toml: l2 is .* but must be a list"),
        ("l2 = { uniform = [0] }", r"l2: uniform = \[0\] must have two numbers"),
        ("l2 = { uniform = [1, 0] }", r"l2: uniform = \[1, 0\] must go from a number to a higher one"),
        ("l2 = { log-uniform = [0, 1] }", r"l2: log-uniform = \[0, 1\] must go from a number above 0"),
        ("l2 = { uniform = [0, inf] }", "l2: uniform is inf, but must be a number"),
        (f"l2 = [{10**400}]", "l2 is 10{400}, but must be a number"),
        ("batch-size = { uniform = [16, 64] }", "batch-size: 16.0 must be a whole number"),
        ("batch-size = { integers = [1.5, 64] }", "batch-size: integers: 1.5 must be a whole number"),
        ("batch-size = { integers = [0, 64] }", "batch-size: the lowest of integers is 0, but must be .* at least 1"),
        (f"batch-size = {{ integers = [1, {2**64}] }}", f"the highest of integers is {2**64}, but must be .* below"),
        ("activation = { integers = [1, 2] }", "activation: 1 must be a string"),
    ],
)
def test_a_space_that_cannot_be_used_is_refused_with_its_file_option_and_value(write, text, message):
    with pytest.raises(InputError, match=message):
        Space.read(write(text, "space.toml"))


def test_a_grid_is_every_combination_in_the_types_of_the_options(write):
    file = write('hidden = [50, [512, 512], [], [50]]\nl2 = [0, 1e-3]\nactivation = { choice = ["relu"] }', "grid.toml")
    grid = Space.read(file).grid()
    assert len(grid) == 6  # the value that is there twice is tried once
    assert grid[0] == {"hidden": (50,), "l2": (0.0,), "activation": ("relu",)}
    assert {settings["hidden"] for settings in grid} == {(50,), (512, 512), ()}
    assert isinstance(grid[0]["l2"][0], float)


def test_what_varies_are_the_options_with_more_than_one_value():
    table = {"hidden": [4], "l2": {"uniform": [0.0, 1.0]}, "activation": ["relu", "tanh"]}
    assert [dimension.name for dimension in Space(table).varying] == ["l2", "activation"]
    assert [dimension.name for dimension in Space({"hidden": [4]}).varying] == ["hidden"]  # a figure needs one


def test_a_grid_takes_no_distributions_and_not_too_many_combinations():
    with pytest.raises(InputError, match="l2 has a distribution, which a grid cannot enumerate"):
        Space({"l2": {"uniform": [0, 1]}}).grid()
    many = {name: list(range(1, 40)) for name in ("hidden", "batch-size", "epochs")}
    with pytest.raises(InputError, match="number of combinations of the space is 59319, but must be a number at most"):
        Space(many).grid()


def test_draws_are_the_seeds_within_their_bounds_and_of_three_digits():
    space = Space(
        {
            "learning-rate": {"log-uniform": [1e-4, 1e-1]},
            "dropout": {"uniform": [0.1, 0.3]},
            "hidden": {"integers": [1000, 1010]},
            "activation": ["relu", "tanh"],
        }
    )
    drawn = space.draw(200, 0)
    assert drawn == space.draw(200, 0) != space.draw(200, 1)
    rates = np.array([settings["learning_rate"] for settings in drawn])
    assert 1e-4 <= rates.min() < 2e-4
    assert 5e-2 < rates.max() <= 1e-1
    assert 0.4 < np.mean(rates < 10**-2.5) < 0.6  # half of them below the middle of the decades
    assert all(0.1 <= share <= 0.3 for settings in drawn for share in settings["dropout"])
    assert {settings["hidden"] for settings in drawn} == {(n,) for n in range(1000, 1011)}
    assert {settings["activation"] for settings in drawn} == {("relu",), ("tanh",)}
    assert all(rate == float(f"{rate:.3g}") for rate in rates)


def test_a_draw_rounded_out_of_its_bounds_is_brought_back():
    drawn = Space({"dropout": {"uniform": [0.12344, 0.12346]}}).draw(20, 0)
    assert all(0.12344 <= settings["dropout"][0] <= 0.12346 for settings in drawn)


def test_lists_are_drawn_from_without_repeating_and_no_more_than_there_are():
    space = Space(GRID)
    drawn = space.draw(4, 0)
    assert sorted(map(str, drawn)) == sorted(map(str, space.grid()))
    with pytest.raises(InputError, match="the space has 4 combinations, fewer than the 5 trials to draw"):
        space.draw(5, 0)
    with pytest.raises(InputError, match="the space has 2 combinations, fewer than the 3 trials to draw"):
        Space({"hidden": [4, 8, 4]}).draw(3, 0)
    assert len(Space({"hidden": {"integers": [1, 3]}}).draw(50, 0)) == 3


def test_every_seed_that_a_training_takes_draws():
    space = Space({"hidden": {"integers": [1, 1000]}})
    assert space.draw(3, 2**32) != space.draw(3, 2**32 + 1)
    with pytest.raises(InputError, match="seed is -1, but must be an integer at least 0"):
        space.draw(3, -1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"learning-rate": [0.1, -1.0]},
            "the space: the trial with learning-rate=-1.0 cannot be trained: learning rate",
        ),
        (
            {"hidden": [8], "activation": [["relu", "tanh"]]},
            "activation=relu,tanh cannot be trained: activation gives",
        ),
        ({"optimizer": ["sgd", "adam"], "momentum": [0.9]}, "optimizer=adam momentum=0.9 cannot be trained: mom"),
        ({"batch-size": [0]}, "batch-size=0 cannot be trained: batch size is 0"),
        ({"scaling": ["minmax"]}, "scaling=minmax cannot be trained: scaling is 'minmax'"),
        ({"dropout": {"uniform": [0.99, 1.5]}}, "dropout=1.* cannot be trained: dropout is 1"),
    ],
)
def test_what_train_would_refuse_is_refused_before_any_trial(table, message):
    draws = 20 if any(isinstance(values, dict) for values in table.values()) else None
    with pytest.raises(InputError, match=message):
        plan(QUICK, Space(table), draws=draws)


def test_the_check_of_all_candidates_takes_no_memory_for_them():
    assert len(plan(QUICK, Space({"hidden": [[10**6, 10**9], 4]})).candidates) == 2


def test_a_search_needs_a_validation_part_and_halving_epochs():
    with pytest.raises(InputError, match="scores its trials on the validation part"):
        plan(replace(QUICK, validation=0.0), Space(GRID))
    with pytest.raises(InputError, match="halving sets the epochs of each trial: say with --epochs"):
        plan(Options("circles"), Space(GRID), halving=True)
    with pytest.raises(
        InputError, match="halving sets the epochs of each trial: leave epochs out of the space, and give --epochs"
    ):
        plan(Options("circles"), Space({"epochs": [1, 2]}), halving=True)


def test_a_study_survives_the_way_through_json(study):
    back = Study.from_json(json.loads(json.dumps(study.to_json())))
    assert (back.options, back.candidates, back.data) == (study.options, study.candidates, study.data)
    assert back.space.table == GRID


@pytest.mark.parametrize("candidates", [[], [{}], [{"hidden": [4]}], [{"hidden": [4], "learning_rate": 0.1, "l2": 0}]])
def test_candidates_that_are_not_those_of_the_space_are_refused(study, candidates):
    with pytest.raises(InputError, match="its candidates are not those of its space"):
        Study.from_json(study.to_json() | {"candidates": candidates})
