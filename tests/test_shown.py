"""What a user gets back is a line or a short table in a console, and a table in a notebook."""

import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import xpmlp
from xpmlp import (
    ACTIVATIONS,
    LOSSES,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    DeepEnsembleClassifier,
    ElasticNet,
    Member,
    MLPClassifier,
    Network,
    Options,
    PackClassifier,
    Recipe,
    StackedGridSearchCV,
    StepDecay,
    TablePreprocessor,
    check_gradients,
    draw_settings,
    fprop,
    get_backend,
    initialize,
    load_dataset,
    prepare,
    read_table,
    split,
    train,
    train_pack,
)
from xpmlp.common.shown import MAX_ROWS, MAX_ROWS_OF_NOTEBOOK, Shown, as_text, line, written
from xpmlp.data.examples import Examples
from xpmlp.experiments.evaluation import decision_regions, report_amounts, report_classes
from xpmlp.experiments.overview import compare_runs, entry_of
from xpmlp.experiments.runs import RunFolder
from xpmlp.models.checkpoints import load_checkpoint
from xpmlp.search import Space, plan, search
from xpmlp.training import Trainer
from xpmlp.training.step import State

HOSTILE = "<script>alert('&')</script>"
TABLES = {"table", "preparation"}  # shown in several lines of a console


def own_schedule(xp, t):
    return 0.01


class OwnRule:
    """An update rule of a user's own, without a `__repr__`."""

    init = SGD().init
    update = SGD().update


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Everything that a user gets back from a small training, by a name."""
    folder = tmp_path_factory.mktemp("shown")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of short trainings
            return made_of_a_table(folder) | made_of_arrays()
    finally:
        os.chdir(before)


def made_of_a_table(folder):
    rng = np.random.default_rng(0)
    lines = [f'"{HOSTILE}",age,city,label']
    ages = [str(rng.integers(20, 60)) if i % 7 else "" for i in range(120)]
    lines += [f"{rng.normal()},{age},{rng.choice([HOSTILE, 'B'])},{rng.choice(['yes', HOSTILE])}" for age in ages]
    (folder / "people.csv").write_text("\n".join(lines))
    found = {"table": read_table("people.csv"), "dataset": load_dataset("people.csv")}
    found |= {"column": found["table"].columns[0], "splits": split(found["dataset"]), "task": found["dataset"].task}

    options = Options("people.csv", hidden=(8, 6), epochs=3, validation=0.2, patience=2, l2=(1e-4,), members=2)
    experiment = prepare(options)
    records = list(experiment.records())
    record = records[-1]
    model = experiment.model
    found |= {"options": options, "experiment": experiment, "recipe": experiment.recipe, "model": model}
    found |= {"network": model.network, "layers": model.layers, "layer": model.layers[0], "scaling": model.scaling}
    found |= {"preparation": model.preparation, "encodings": model.preparation.encodings[2], "record": record}
    found |= {"best": record.best, "score": record.scores["test"], "state": record.state}
    found["kept"] = Examples(*experiment.sets["train"])
    backend = found["backend"] = experiment.backend
    found["status"] = next(status for status in xpmlp.backends.statuses() if status.name == "numpy")
    found["trainer"] = Trainer(backend, model.network, experiment.recipe)

    run = RunFolder(Path("run"))
    run.start(experiment)
    run.save_checkpoint(experiment, [record.without_arrays(), record])
    for each in records:
        run.add(each)
    other = RunFolder(Path("other"))
    other.start(prepare(replace(options, hidden=(4,))))
    found |= {"run": run, "entry": entry_of(run), "compared": compare_runs([run.path, other.path])[0]}
    found["checkpoint"] = load_checkpoint(run.path / "checkpoint.safetensors")

    table, labels = found["splits"].train
    report = found["report"] = report_classes(model, backend, table, labels)
    found |= {"roc": report.roc[0], "calibration": report.calibration}
    space = Space({"hidden": [4, 8], "learning-rate": {"log-uniform": [1e-3, 1e-1]}})
    study = plan(Options("people.csv", epochs=1, validation=0.2), space, draws=3)
    result = search(study, folder / "search", engine="sequential")
    trial = result.trials[0]
    return found | {"space": space, "study": study, "result": result, "trial": trial, "point": trial.kept}


def made_of_arrays():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    T, single, found = np.eye(3)[y], get_backend("numpy", dtype="float64"), {}
    network = Network.build(4, [5, 5, 5], 3)
    weights = initialize(network)
    found["trace"] = fprop(np, network, weights, X)
    found["check"] = check_gradients(single, network, weights, X[:5], T[:5])
    found |= {"checked": found["check"].worst, "setting": draw_settings(2, 0)[1]}
    found["member"] = Member(network, weights, Recipe(SGD(0.9), StepDecay(0.1, 30), epochs=2), rows=np.arange(9))
    found["own recipe"] = Recipe(OwnRule(), own_schedule, epochs=1)
    sets = {"validation": (X, T)}
    of_pack = train_pack(single, LOSSES["softmax"], X, T, draw_settings(4, 0), epochs=2, evaluate=sets)
    found["pack"] = list(of_pack)[-1]
    found |= {"state of a pack": found["pack"].state, "stack": found["pack"].state.stacks[0]}
    found["own record"] = next(iter(train(single, network, weights, X, T, found["own recipe"])))
    found |= {"sgd": SGD(), "adam": Adam(), "adamw": AdamW(weight_decay=0.5), "penalty": ElasticNet()}
    found |= {
        "constant": Constant(0.1),
        "cosine": Cosine(0.1, 100),
        "relu": ACTIVATIONS["relu"],
        "loss": LOSSES["huber"],
    }

    classifier = MLPClassifier(max_iter=3).fit(X, y)
    found |= {"classifier": classifier, "preprocessor": TablePreprocessor().fit(read_table("people.csv"))}
    found["ensemble"] = DeepEnsembleClassifier(2, max_iter=3).fit(X, y)
    found["packed"] = PackClassifier(5, max_iter=2).fit(X, y)
    found["model of a pack"] = found["packed"].to_model()
    found["stacked"] = StackedGridSearchCV(MLPClassifier(max_iter=3), {"alpha": [1e-3, 1e-2]}, cv=2).fit(X, y)

    circles = prepare(Options("circles", hidden=(3,), epochs=1))
    found["regions"] = decision_regions(circles.model, circles.backend, *split(circles.dataset).train, "train")
    np.savez("amounts.npz", X=X, y=X[:, 0] + 0.5)
    amounts = prepare(Options("amounts.npz", epochs=1))
    found |= {"amounts": amounts.dataset, "errors": report_amounts(amounts.model, amounts.backend, X, X[:, 0])}
    return found


NAMES = [
    "table", "dataset", "column", "splits", "task", "options", "experiment", "recipe", "model", "network",
    "layers", "layer", "scaling", "preparation", "encodings", "record", "best", "score", "state", "kept",
    "backend", "status", "trainer", "run", "entry", "compared", "checkpoint", "trace", "check", "checked",
    "setting", "member", "pack", "sgd", "adam", "adamw", "penalty", "constant", "cosine", "relu", "loss",
    "classifier", "preprocessor", "ensemble", "packed", "stacked", "space", "study", "result", "trial", "point",
    "report", "roc", "calibration", "regions", "amounts", "errors", "own recipe", "own record",
    "model of a pack", "state of a pack", "stack",
]  # fmt: skip


TABLED = [
    "table", "dataset", "splits", "options", "experiment", "model", "network", "preparation", "record", "best", "check",
    "pack", "space", "study", "result", "report", "amounts", "errors", "own record", "model of a pack",
]  # fmt: skip


def test_the_lists_are_those_of_what_was_made(objects):
    assert set(objects) == set(NAMES)
    assert {name for name, thing in objects.items() if isinstance(thing, Shown)} == set(TABLED)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_line_or_a_short_table_without_arrays_and_addresses(objects, name):
    shown = repr(objects[name])
    assert shown
    assert not re.search(r"array\(|0x[0-9a-f]{6}|<function|object at", shown), shown
    if name in TABLES:
        assert shown.count("\n") <= MAX_ROWS + 2
        assert max(map(len, shown.splitlines())) < 200
    else:
        assert len(shown) < 220
        assert "\n" not in shown or name == "stacked"  # scikit-learn's, which wraps


@pytest.mark.parametrize("name", TABLED)
def test_a_notebook_shows_a_table_that_is_whole_and_escapes_all_texts(objects, name):
    thing = objects[name]
    tree = ET.fromstring(f"<div>{thing._repr_html_()}</div>")  # noqa: S314 - our own
    assert {each.tag for each in tree.iter()} <= {"div", "p", "table", "tr", "th", "td"}
    said, table = tree[0], tree[1]
    assert said.text == repr(thing).partition("\n")[0]
    heads, *rows = table
    assert bool(rows) == (name != "own record")  # which has no scores
    assert {each.tag for each in heads} == {"th"}
    assert {len(row) for row in rows} <= {len(heads)}


@pytest.mark.parametrize("name", ["table", "dataset", "preparation"])
def test_names_that_are_html_are_texts_of_a_notebook(objects, name):
    html = objects[name]._repr_html_()
    assert "<script" not in html
    assert HOSTILE in "".join(ET.fromstring(f"<div>{html}</div>").itertext())  # noqa: S314 - our own


def test_what_a_user_copies_is_there(objects):
    """A recipe and options can be read back as they are written."""
    assert repr(objects["recipe"]) == (
        "Recipe(optimizer=AdamW(weight_decay=0.5), schedule=Cosine(rate=0.003, total=6, warmup=0), "
        "penalty=ElasticNet(l1=(0.0, 0.0, 0.0), l2=(0.0001, 0.0001, 0.0001)), batch_size=64, epochs=3, "
        "seed=0, patience=2)"
    )
    names = {name: getattr(xpmlp, name) for name in xpmlp.__all__}
    for name in ("recipe", "options", "setting", "penalty", "adamw", "cosine"):
        assert eval(repr(objects[name]), names) == objects[name]  # noqa: S307 - our own text
    assert repr(objects["own recipe"]) == (
        "Recipe(optimizer=OwnRule(), schedule=own_schedule, batch_size=64, epochs=1, seed=0)"
    )


def test_a_record_says_what_matters_of_its_epoch(objects):
    score = objects["record"].scores["validation"]
    assert f"validation loss {score.loss:.4f} accuracy {score.accuracy:.4f}" in repr(objects["record"])
    assert f"best epoch {objects['record'].best_epoch}" in repr(objects["record"])
    assert "stopped early" in repr(replace(objects["record"], complete=False))
    for text in ("train", "validation, network 1", f"{score.accuracy:.4f}"):
        assert f"<td>{text}</td>" in objects["record"]._repr_html_()


def test_a_table_of_many_rows_is_cut_and_says_so():
    content = ("name", "number"), [(f"a\n{'b' * 99} {n}", n) for n in range(200)]
    lines = as_text(content).splitlines()
    assert len(lines) == 1 + MAX_ROWS + 1
    assert lines[-1] == f"and {200 - MAX_ROWS} rows more"
    assert lines[1] == f"a {'b' * 59}...  0"

    class Long(Shown):
        def _content(self):
            return content

        def __repr__(self):
            return "<Long>"

    html = Long()._repr_html_()
    assert html.count("<tr>") == 1 + MAX_ROWS_OF_NOTEBOOK
    assert html.endswith(f"<p>and {200 - MAX_ROWS_OF_NOTEBOOK} rows more</p>")


def test_deep_networks_and_searches_without_a_trial_have_a_line(objects):
    deep = Network.build(4, [300] * 50, 3)
    assert repr(deep) == "<Network 4-300-300-300-...-300-300-3 of 4,427,103 parameters, activations relu, loss softmax>"
    assert repr(replace(objects["result"], trials=[], test=None)) == "<SearchResult of 0 trials>"


def test_values_are_written_without_arrays(backend):
    x = backend.asarray(np.ones((2, 3)))
    assert written(x) == f"{x.dtype} (2, 3)"
    assert written([x, x, x]) == "[3 arrays]"
    assert written(np.float64(0.5)) in ("0.5", "np.float64(0.5)")
    assert line(State(None, x, x, x, x)).startswith(f"State(optimizer=None, t={x.dtype} (2, 3)")
