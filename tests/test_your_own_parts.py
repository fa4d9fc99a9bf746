"""The page on parts of one's own: its snippets run as they are printed, on every backend."""

import re
from pathlib import Path

import numpy as np
import pytest

from xpmlp import ACTIVATIONS, InputError, Model, Scaling, export_model, save_model

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


def test_models_with_them_are_not_saved_and_not_exported(names, tmp_path):
    layers = [type(layer)(*map(names["backend"].to_numpy, layer)) for layer in names["record"].layers]
    model = Model(names["network"], layers, None, Scaling(np.zeros(4), np.ones(4)))
    with pytest.raises(InputError, match="a function of your own, 'softsign', cannot be saved"):
        save_model(model, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="softsign"):
        export_model(model, tmp_path / "model.npz")
    assert "softsign" not in ACTIVATIONS
