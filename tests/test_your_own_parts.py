"""The page on parts of one's own: its snippets run as they are printed, on every backend."""

import json
import pickle
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from xpmlp import ACTIVATIONS, LOSSES, InputError, Model, Scaling, export_model, load_model, save_model
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder
from xpmlp.nn import own_parts
from xpmlp.nn.own_parts import KINDS, OwnPart, is_place, own_part

PAGE = (Path(__file__).parent.parent / "docs" / "your-own-parts.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
OPENED = 'get_backend("numpy", dtype="float64")'


@pytest.fixture
def names(backend):
    """What the snippets define, one after the other, with a backend in place of NumPy's."""
    assert sum(snippet.count(OPENED) for snippet in SNIPPETS) == 1
    names = {"backend_of_the_test": backend}
    for snippet in SNIPPETS:
        source = snippet.replace(OPENED, "backend_of_the_test")
        exec(compile(source, "your-own-parts.md", "exec"), names)  # noqa: S102 - it is our own page
    return names


def test_the_snippets_check_their_gradients_and_train(names):
    assert names["check"].passed
    assert len(names["check"].judged) == names["network"].n_parameters
    record = names["record"]
    assert record.epoch == 3
    assert record.learning_rate == pytest.approx(0.01 / (1 + 0.01 * 29))  # after 29 of 30 steps
    shown = "<gradient check passed at tolerance 1e-07: 71 parameters, worst relative error "
    assert repr(names["check"]).startswith(shown)
    assert f"print(check)  # {shown}...>" in PAGE


def test_their_loss_is_the_one_that_the_page_names(names):
    xp, backend, loss = names["backend"].xp, names["backend"], names["loss"]
    errors = np.array([[-30.0], [-1.0], [0.0], [0.5], [8.0]])
    z, T = backend.asarray(errors + 1.0), backend.asarray(np.ones_like(errors))
    expected = 4.0 * np.log(np.cosh(errors / 2.0))
    assert float(backend.to_numpy(loss.value(xp, z, T))) == pytest.approx(expected.sum(), rel=1e-12)
    slopes = backend.to_numpy(loss.gradient(xp, z, T))
    np.testing.assert_allclose(slopes, 2.0 * np.tanh(errors / 2.0), rtol=1e-12)


def test_models_with_them_are_not_saved_and_exported_to_onnx_alone(names, tmp_path):
    layers = [type(layer)(*map(names["backend"].to_numpy, layer)) for layer in names["record"].layers]
    model = Model(names["network"], layers, None, Scaling(np.zeros(4), np.ones(4)))
    with pytest.raises(InputError, match="a function of your own, 'softsign', cannot be saved"):
        save_model(model, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="softsign"):
        export_model(model, tmp_path / "model.npz")
    export_model(model, tmp_path / "model.onnx")
    session, X = onnxruntime.InferenceSession(tmp_path / "model.onnx"), np.random.default_rng(0).normal(size=(9, 4))
    dtype = {"tensor(float)": "float32", "tensor(double)": "float64"}[session.get_inputs()[0].type]
    (found,) = session.run(["outputs"], {"X": X.astype(dtype)})
    np.testing.assert_allclose(found, model.predict(X).reshape(found.shape), rtol=1e-5, atol=1e-6)
    assert "softsign" not in ACTIVATIONS


MODULE = """
from dataclasses import replace
from pathlib import Path
from xpmlp import LOSSES, Activation

Path(__file__).with_name("imported").touch()
softsign = Activation("softsign", lambda xp, z: z / (1.0 + xp.abs(z)), lambda xp, z, a: (1.0 - xp.abs(a)) ** 2)
smoothed = replace(
    LOSSES["softmax"],
    name="smoothed",
    terms=lambda xp, u, T: -(0.9 * T + 0.05) * u,
    delta=lambda xp, a, T: a - (0.9 * T + 0.05),
)
counts = replace(LOSSES["poisson"], name="counts", terms=lambda xp, z, T: xp.exp(z) - T * z)
wrong = replace(LOSSES["squared"], name="wrong", terms=lambda xp, z, T: (z - T) ** 2)
falling = lambda xp, t: 0.01 / (1.0 + t)
rising = lambda xp, t: 0.01 * (1.0 + t)
number = 3
"""
OWN = ("--activation", "own_parts:softsign")
LOSS, SCHEDULE = ("--loss", "own_parts:smoothed"), ("--schedule", "own_parts:falling")
QUICK = ("circles", "--hidden", "4", "--epochs", "2")
REFUSED = "a file brings no code in: name it again, with"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of a user's, where commands are run: gives what forgets it and says whether it was imported."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_parts.py").write_text(MODULE)

    def was_imported():
        sys.modules.pop("own_parts", None)
        was = (tmp_path / "imported").exists()
        (tmp_path / "imported").unlink(missing_ok=True)
        return was

    yield was_imported
    was_imported()


@pytest.mark.parametrize("own", [OWN, LOSS])
def test_a_part_of_a_model_is_named_on_the_command_line_and_again_for_what_it_was_trained_with(cli, module, own):
    code, out, err = cli("train", *QUICK, "--out", "run", *own)
    assert code == 0, err
    assert f"next: xpmlp evaluate run {own[0]} {own[1]}" in out
    assert module()
    for command in (
        ("evaluate", "run"),
        ("predict", "run", "new.csv"),
        ("export", "run", "model.onnx"),
        ("show", "run"),
        ("train", *QUICK, "--from", "run", "--out", "other"),
    ):
        code, _, err = cli(*command)
        assert code == 2
        assert f"{REFUSED} {own[0]} {own[1]}" in err
        assert not module()
    assert own[1] in cli("show", "run", *own)[1]
    assert cli("evaluate", "run", *own)[0] == 0
    assert module()
    for command in (("export", "run", "model.onnx"), ("train", *QUICK, "--from", "run", "--out", "other")):
        code, _, err = cli(*command, *own)
        assert code == 0, err
    assert "passed" in cli("gradcheck", *own)[1]


def test_a_schedule_of_ones_own_is_named_again_to_train_alone(cli, module, tmp_path):
    code, out, err = cli("train", *QUICK, "--out", "run", *SCHEDULE)
    assert code == 0, err
    rates = [row["learning_rate"] for row in RunFolder(tmp_path / "run").rows()]
    assert rates == pytest.approx([0.01 / 12, 0.01 / 24], rel=1e-4)  # of 12 steps, the last
    assert json.loads((tmp_path / "run" / "config.json").read_text())["options"]["learning_rate"] is None
    assert "adam at the rates of own_parts:falling" in out
    assert "next: xpmlp evaluate run\n" in out
    module()
    (tmp_path / "new.csv").write_text("x0,x1\n0,1\n")
    for command in (
        ("evaluate", "run"),
        ("predict", "run", "new.csv"),
        ("export", "run", "model.onnx"),
        ("show", "run"),
        ("train", "--resume", "run"),  # there is nothing left to train
    ):
        code, _, err = cli(*command)
        assert (code, module()) == (0, False), err
    more, step = ("train", "--resume", "run", "--epochs", "3"), ("export", "run", "step.onnx", "--what", "step")
    for command in (more, step):
        code, _, err = cli(*command)
        assert (code, module()) == (2, False)
        assert f"{REFUSED} --schedule own_parts:falling." in err
        code, _, err = cli(*command, *SCHEDULE)
        assert code == 0, err
        module()
    log = (tmp_path / "run" / "train.log").read_text()
    assert "The learning rate, 0.000416667 at last, goes on from 0.0004." in log
    code, _, err = cli("export", "run", "other.onnx", "--what", "step", "--schedule", "own_parts:rising")
    assert code == 2
    assert "has schedule own_parts:falling, not own_parts:rising." in err


def test_a_learning_rate_beside_a_schedule_of_ones_own_is_refused(cli, module):
    code, _, err = cli("train", *QUICK, *SCHEDULE, "--learning-rate", "0.1")
    assert code == 2
    assert "learning_rate is 0.1, but schedule own_parts:falling gives the rates themselves" in err


@pytest.mark.usefixtures("module")
def test_a_loss_of_ones_own_is_not_called_the_likelihood(cli, tmp_path):
    code, out, err = cli("train", *QUICK, "--out", "run", *LOSS)
    assert code == 0, err
    assert "NLL" not in out
    code, out, _ = cli("evaluate", "run", *LOSS)
    assert code == 0
    assert re.search(r"circles, test: accuracy 0\.\d+, loss \d", out)
    code, out, err = cli("search", *QUICK, *LOSS, *SCHEDULE, "--random", "2", "--jobs", "1", "--out", "search")
    assert code == 0, err
    assert "NLL" not in out
    assert "validation_loss" in (tmp_path / "search" / "results.csv").read_text()


@pytest.mark.usefixtures("module")
def test_the_task_is_that_of_the_loss(cli, tmp_path):
    code, out, err = cli("train", *QUICK, "--out", "amounts", "--loss", "own_parts:counts")
    assert code == 0, err
    assert "train R2" in out
    assert load_model(tmp_path / "amounts" / "model.safetensors", [own("loss", "counts")]).target_scaling is None
    code, _, err = cli("train", *QUICK, "--task", "regression", *LOSS)
    assert code == 2
    assert "loss own_parts:smoothed is one of a classification, but the task is regression" in err
    code, out, _ = cli("gradcheck", "--loss", "own_parts:counts")
    assert code == 0
    assert "loss own_parts:counts, K = 10" in out
    code, out, _ = cli("gradcheck", "--loss", "own_parts:wrong")
    assert code == 1
    assert "FAILED" in out


def own(kind, name):
    """What a module of a user's own has, called by its place."""
    return OwnPart.at(kind, f"own_parts:{name}").part


@pytest.mark.usefixtures("module")
def test_places_go_to_other_processes_by_their_name_alone(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for kind, name in (("activation", "softsign"), ("loss", "smoothed"), ("schedule", "falling")):
        place = OwnPart.at(kind, f"own_parts:{name}")
        again = pickle.loads(pickle.dumps(place))  # noqa: S301 - it is our own
        assert (again, again.kind) == (place, kind)
        assert again.part == place.part


@pytest.mark.parametrize("engine", ["loky", "stack"])
def test_a_search_with_parts_of_ones_own_is_resumed_where_they_are_named_again(cli, module, tmp_path, engine):
    (tmp_path / "grid.toml").write_text("hidden = [3, 4]\n")
    parts = (*OWN, *LOSS, *SCHEDULE)
    begin = ("search", "circles", "--epochs", "2", "--grid", "grid.toml", "--engine", engine, "--out", "search", *parts)
    code, _, err = cli(*begin)
    assert code == 0, err
    for trial in (tmp_path / "search" / "trials").glob("*.json"):
        trial.unlink()
    (tmp_path / "search" / "best" / "model.safetensors").unlink()
    module()
    code, _, err = cli("search", "--resume", "search", "--engine", engine)
    assert (code, module()) == (2, False)
    assert REFUSED in err
    code, _, err = cli("search", "--resume", "search", "--engine", engine, *parts)
    assert code == 0, err
    code, _, err = cli(*begin, "--continue")
    assert code == 0, err


def test_a_run_goes_on_where_its_parts_are_named_again(cli, module, tmp_path):
    parts = (*OWN, *LOSS, *SCHEDULE)
    assert cli("train", *QUICK, *parts, "--out", "whole")[0] == 0
    kinds = {name[2:]: OwnPart.at(name[2:], place) for name, place in (OWN, LOSS, SCHEDULE)}
    experiment = prepare(Options("circles", hidden=(4,), epochs=2, **kinds))
    run = RunFolder(tmp_path / "cut")
    run.start(experiment)
    record = next(experiment.records())
    run.save_checkpoint(experiment, [record])
    run.add(record)
    module()
    for left_out in (OWN, LOSS, SCHEDULE):
        others = [each for each in parts if each not in left_out]
        code, _, err = cli("train", "--resume", "cut", *others)
        module()
        assert code == 2
        assert f"{REFUSED} {left_out[0]} {left_out[1]}" in err
    code, _, err = cli("train", "--resume", "cut")
    assert (code, module()) == (2, False)
    code, _, err = cli("train", "--resume", "cut", *OWN, *SCHEDULE, "--loss", "own_parts:counts")
    assert code == 2
    assert "the run was begun with --loss own_parts:smoothed, not own_parts:counts." in err
    code, _, err = cli("train", *QUICK, *OWN, *LOSS, "--out", "cut", "--continue")
    assert code == 2
    assert "--schedule is cosine, where it was begun with own_parts:falling: give the same" in err
    code, _, err = cli("train", *QUICK, *parts, "--out", "cut", "--continue")
    assert code == 0, err
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


COMMANDS = (
    ("evaluate", "run"),
    ("evaluate", "run/model.safetensors", "circles"),
    ("predict", "run", "new.csv"),
    ("export", "run", "model.npz"),
    ("export", "run", "step.onnx", "--what", "step"),
    ("show", "run"),
    ("train", "--resume", "run"),
    ("train", "--resume", "run", "--epochs", "3"),
    ("train", "circles", "--from", "run", "--out", "other"),
    ("train", *QUICK, "--out", "run", "--continue"),
    ("runs", "."),
    ("compare", "run", "clean"),
)
NEEDS_NO_PART = [("runs", "."), ("compare", "run", "clean"), ("train", "--resume", "run")]  # that run is complete
NEEDS_A_SCHEDULE = [command for command in COMMANDS if {"3", "step", "--continue"} & {*command}]


@pytest.mark.parametrize(
    ("option", "before", "place"),
    [
        ("activation", ["relu"], ["own_parts:softsign"]),
        ("loss", "auto", "own_parts:smoothed"),
        ("loss", "auto", "os:system"),
        ("schedule", "cosine", "own_parts:falling"),
        ("schedule", "cosine", "os:system"),
    ],
)
def test_a_doctored_config_or_model_file_imports_nothing(cli, module, tmp_path, monkeypatch, option, before, place):
    for folder in ("run", "clean"):
        assert cli("train", *QUICK, "--out", folder)[0] == 0
    config, model_file = tmp_path / "run" / "config.json", tmp_path / "run" / "model.safetensors"
    content = json.loads(config.read_text())
    assert content["options"][option] == before
    content["options"][option] = place
    if option != "schedule":
        content["network"]["loss" if option == "loss" else "activations"] = place
    config.write_text(json.dumps(content))
    model, mine = (
        load_model(model_file),
        {
            "activation": {"activations": (replace(ACTIVATIONS["tanh"], name=place[0]),)},
            "loss": {"loss": replace(LOSSES["softmax"], name=place)},
            "schedule": {},
        }[option],
    )
    network = replace(model.network, **mine)
    save_model(replace(model, network=network), model_file)
    (tmp_path / "new.csv").write_text("x0,x1\n0,1\n")
    monkeypatch.setattr(own_parts, "import_module", pytest.fail)
    for command in COMMANDS:
        code, _, err = cli(*command)
        assert not module(), command
        needs_none = command in NEEDS_NO_PART or (option == "schedule" and command not in NEEDS_A_SCHEDULE)
        message = "--continue goes on in run as that was begun" if "--continue" in command else REFUSED
        assert code == 0 if needs_none else message in err, (command, err)
    if option != "schedule":
        with pytest.raises(InputError, match=r"a file brings no code in: name it again.*parts=\[...\]"):
            load_model(model_file)
        X, mended = np.eye(2), load_model(model_file, parts=[*network.activations, network.loss])
        np.testing.assert_array_equal(mended.predict_proba(X), replace(model, network=network).predict_proba(X))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("own_parts:number", "{0} 'own_parts:number' is int, but must be "),
        ("own_parts:Path", "{0} 'own_parts:Path' is the class Path, but must be "),
        ("own_parts:nothing", "cannot be imported: AttributeError: module 'own_parts' has no attribute 'nothing'"),
        ("no_such_module:x", "{0} 'no_such_module:x' cannot be imported: ModuleNotFoundError"),
        ("own_parts:", "{0} is 'own_parts:', but must say where one of your own is: module:name"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("module")
def test_a_place_where_no_such_part_is_is_named_with_what_is_there(cli, kind, place, message):
    code, _, err = cli("train", "circles", f"--{kind}", place)
    assert code == 2
    assert message.format(kind) in err


@pytest.mark.usefixtures("module")
def test_a_part_of_another_kind_is_refused(cli):
    for kind, name, found in (
        ("activation", "smoothed", "Loss"),
        ("loss", "softsign", "Activation"),
        ("schedule", "smoothed", "Loss"),
    ):
        code, _, err = cli("train", "circles", f"--{kind}", f"own_parts:{name}")
        assert code == 2
        assert f"{kind} 'own_parts:{name}' is {found}, but must be " in err
    assert own_part("loss", OwnPart.at("schedule", "own_parts:falling").part) is None
    with pytest.raises(InputError, match=REFUSED):
        own_part("loss", OwnPart.at("activation", "own_parts:softsign"))


def test_a_loss_with_a_number_is_no_place():
    assert not is_place("loss", "huber:1.35")
    assert is_place("loss", "huber_like:loss")
    assert is_place("activation", "huber:bump")


def test_the_commands_of_the_page_run(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    parts = [each for each in SNIPPETS if "backend" not in each]
    (tmp_path / "parts.py").write_text("\n".join(parts))
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in commands.splitlines():
        code, _, err = cli(*shlex.split(line)[1:])
        assert code == 0, err
    sys.modules.pop("parts")
