"""The benchmark of tables: what is scored, how contenders are compared, and that ours learns a table as it is."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
pd = pytest.importorskip("pandas", reason="the benchmark reads tables by pandas")

from tables.catalogue import TASKS, is_ours  # noqa: E402 - found by the line above
from tables.contenders import CONTENDERS, Answer, Setting  # noqa: E402 - as above
from tables.scores import compare, score, summarise  # noqa: E402 - as above


def test_each_table_stands_once_belongs_to_the_even_half_and_to_one_of_two_parts_of_about_the_same_size():
    names = [task.name for task in TASKS]
    assert len(set(names)) == len(names) >= 40
    assert all(is_ours(task.name) for task in TASKS)
    for amounts in (False, True):
        chosen_by = [task.chooses for task in TASKS if task.amounts == amounts]
        assert len(chosen_by) >= 20
        assert 0.3 < np.mean(chosen_by) < 0.7


def test_probabilities_are_scored_by_class_though_the_rows_lack_one_or_have_another():
    answer = Answer(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array(["a", "c"]))
    found = score(answer, pd.Series(["a", "b"]), pd.Series(["a", "c"]))
    assert found["accuracy"] == 0.5
    assert found["log-loss"] == pytest.approx(-(np.log(0.8) + np.log(1e-7)) / 2, rel=1e-5)


def test_amounts_are_scored_in_deviations_of_the_training_targets():
    y, y_train = pd.Series([1.0, 3.0]), pd.Series([0.0, 10.0])
    assert score(Answer(np.array([1.0, 3.0]), None), y, y_train) == {"R2": 1.0, "normalised RMSE": 0.0}
    found = score(Answer(np.array([2.0, 2.0]), None), y, y_train)
    assert found == {"R2": 0.0, "normalised RMSE": pytest.approx(1.0 / 5.0)}


def test_the_best_contender_of_every_table_has_rank_1_and_one_that_is_missing_leaves_the_table_out():
    results = [
        {"table": table, "split": 0, "contender": name, "scores": {"log-loss": value}}
        for table, values in {"t": (0.1, 0.3), "u": (0.5, 0.6)}.items()
        for name, value in zip(("good", "poor"), values, strict=True)
    ]
    results.append({"table": "v", "split": 0, "contender": "poor", "scores": {"log-loss": 0.0}})
    found = summarise(results, ["good", "poor"])["log-loss"]
    assert found["tables"] == 2
    assert found["contenders"]["good"] == {
        "mean": pytest.approx(0.3), "normalised": 1.0, "rank": 1.0, "rank_95": [1.0, 1.0],
    }  # fmt: skip
    assert found["contenders"]["poor"]["rank"] == 2.0


def test_two_contenders_are_compared_by_the_splits_that_both_have_done():
    values = {("t", 0): (0.1, 0.3), ("t", 1): (0.2, 0.3), ("u", 0): (0.5, 0.4)}
    results = [
        {"table": table, "split": split, "contender": name, "scores": {"log-loss": value}}
        for (table, split), pair in values.items()
        for name, value in zip(("ours", "theirs"), pair, strict=True)
    ]
    results.append({"table": "u", "split": 1, "contender": "ours", "scores": {"log-loss": 9.0}})
    found = compare(results, "ours", "theirs")["log-loss"]
    assert (found["better"], found["worse"]) == (1, 1)
    assert found["mean"] == found["median"] == pytest.approx((-0.15 + 0.1) / 2)
    assert found["mean_95"] == pytest.approx([-0.15, 0.1])


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("name", ["xpmlp", "scikit-learn", "boosting"])
@pytest.mark.parametrize("amounts", [False, True])
def test_a_contender_learns_a_table_with_texts_and_gaps(name, amounts):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": rng.normal(size=200), "kind": rng.choice(["flat", "house"], 200)})
    value = X["size"] + 2.0 * (X["kind"] == "house")
    y = (value if amounts else (value > 1).map({True: "dear", False: "cheap"})).rename("price")
    X.loc[::9, "size"] = np.nan
    found = score(CONTENDERS[name](X[:150], y[:150], X[150:], Setting(amounts, 0, 1)), y[150:], y[:150])
    assert found["R2" if amounts else "accuracy"] > 0.7
