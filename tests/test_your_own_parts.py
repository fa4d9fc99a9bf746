"""The page on parts of one's own: its snippets run as they are printed, on every backend."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from xpmlp import ACTIVATIONS, InputError, Model, Scaling, export_model, load_model, save_model
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder
from xpmlp.nn.own_parts import OwnPart

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
from pathlib import Path
from xpmlp import Activation

Path(__file__).with_name("imported").touch()
softsign = Activation("softsign", lambda xp, z: z / (1.0 + xp.abs(z)), lambda xp, z, a: (1.0 - xp.abs(a)) ** 2)
number = 3
"""
OWN = ("--activation", "own_parts:softsign")


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


def test_an_activation_of_ones_own_is_named_on_the_command_line_and_again_for_what_it_was_trained_with(cli, module):
    quick = ("circles", "--hidden", "4", "--epochs", "2")
    code, out, err = cli("train", *quick, "--out", "run", *OWN)
    assert code == 0, err
    assert "next: xpmlp evaluate run --activation own_parts:softsign" in out
    assert module()
    for command in (
        ("evaluate", "run"),
        ("predict", "run", "new.csv"),
        ("export", "run", "model.npz"),
        ("show", "run"),
    ):
        code, _, err = cli(*command)
        assert code == 2
        assert "a file brings no code in: name it again, with --activation own_parts:softsign" in err
        assert not module()
    assert "own_parts:softsign" in cli("show", "run", *OWN)[1]
    assert cli("evaluate", "run", *OWN)[0] == 0
    assert module()
    assert "passed" in cli("gradcheck", *OWN)[1]


def test_a_run_with_one_goes_on_where_it_is_named_again(cli, module, tmp_path):
    quick = ("--hidden", "4", "--epochs", "2", *OWN)
    assert cli("train", "circles", *quick, "--out", "whole")[0] == 0
    experiment = prepare(Options("circles", hidden=(4,), epochs=2, activation=(OwnPart.at("activation", OWN[1]),)))
    run = RunFolder(tmp_path / "cut")
    run.start(experiment)
    record = next(experiment.records())
    run.save_checkpoint(experiment, [record])
    run.add(record)
    module()
    code, _, err = cli("train", "--resume", "cut")
    assert (code, module()) == (2, False)
    assert "a file brings no code in" in err
    code, _, err = cli("train", "--resume", "cut", "--activation", "own_parts:number")
    assert code == 2
    code, _, err = cli("train", "--resume", "cut", *OWN)
    assert code == 0, err
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


def test_a_doctored_config_or_model_file_imports_nothing(cli, module, tmp_path):
    assert cli("train", "circles", "--hidden", "4", "--epochs", "2", "--out", "run")[0] == 0
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"relu"', '"own_parts:softsign"'))
    model = load_model(tmp_path / "run" / "model.safetensors")
    own = replace(ACTIVATIONS["tanh"], name="own_parts:softsign")
    network = replace(model.network, activations=(own,))
    save_model(replace(model, network=network), tmp_path / "run" / "model.safetensors")
    for command in (
        ("evaluate", "run"),
        ("evaluate", "run/model.safetensors", "circles"),
        ("predict", "run", "new.csv"),
        ("export", "run", "model.npz"),
        ("show", "run"),
        ("train", "--resume", "run"),
    ):
        cli(*command)
        assert not module(), command
    with pytest.raises(InputError, match=r"a file brings no code in: name it again.*parts=\[...\]"):
        load_model(tmp_path / "run" / "model.safetensors")
    X = np.eye(2)
    mended = load_model(tmp_path / "run" / "model.safetensors", parts=[own])
    expected = replace(model, network=replace(network, activations=(ACTIVATIONS["tanh"],))).predict_proba(X)
    np.testing.assert_array_equal(mended.predict_proba(X), expected)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("own_parts:number", "activation 'own_parts:number' is int, but must be an Activation"),
        ("own_parts:nothing", "cannot be imported: AttributeError: module 'own_parts' has no attribute 'nothing'"),
        ("no_such_module:x", "cannot be imported: ModuleNotFoundError"),
        ("own_parts:", "must say where one of your own is: module:name"),
    ],
)
@pytest.mark.usefixtures("module")
def test_a_place_where_no_activation_is_is_named_with_what_is_there(cli, place, message):
    code, _, err = cli("train", "circles", "--activation", place)
    assert code == 2
    assert message in err
