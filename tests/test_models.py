"""Trained models: predictions, and files that hold all it takes to make them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import sparse

from xpmlp import InputError, Model, Network, Scaling, get_backend, initialize, load_model, save_model
from xpmlp.models.checkpoints import digest
from xpmlp.nn.losses import LOSSES, huber, quantile

D, M = 4, 3


@pytest.fixture
def model():
    network = Network.build(D, [5], M, activation="gelu")
    layers = [type(layer)(*(p.astype("float32") for p in layer)) for layer in initialize(network, seed=1)]
    scaling = Scaling(np.arange(D, dtype=float), np.full(D, 0.5))
    return Model(network, layers, np.array(["ant", "bee", "cat"]), scaling, ("a", "b", "c", "d"))


@pytest.fixture(name="X")
def raw_features(rng):
    return rng.normal(size=(20, D))


def expected_probabilities(model, X):
    (W1, b1), (W2, b2) = model.layers
    z = ((X - np.arange(D)) * 0.5).dot(W1) + b1
    a = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    e = np.exp(a.dot(W2) + b2)
    return e / e.sum(axis=1, keepdims=True)


def test_every_backend_predicts_the_same(model, X, backend):
    found = model.predict_proba(X, backend)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected_probabilities(model, X), rtol=1e-10)
    wanted = model.classes[expected_probabilities(model, X).argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X, backend), wanted)


def test_numpy_in_the_dtype_of_training_is_the_default_place_to_predict(model, X):
    found = model.predict_proba(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected_probabilities(model, X), rtol=1e-4)


@pytest.mark.parametrize("scale", [np.full(D, 0.5), np.full(D, 1e30)], ids=["features", "scaled"])
def test_features_beyond_float32_are_refused_by_a_model_in_float32(model, X, scale):
    odd = X.copy()
    odd[3, 1] = -1e200 if scale[0] < 1 else -1e20
    beyond = replace(model, scaling=Scaling(np.arange(D, dtype=float), scale))
    for call in (beyond.predict, beyond.predict_proba):
        with pytest.raises(
            InputError, match=r"X holds -1e\+2.*0, but is computed with in float32, whose numbers end at 3"
        ):
            call(odd)
    assert np.isfinite(beyond.predict_proba(odd, get_backend("numpy", dtype="float64"))).all()


def test_many_rows_are_predicted_in_chunks_with_the_same_result(model, X):
    many = np.tile(X, (1000, 1))
    np.testing.assert_allclose(model.predict_proba(many), np.tile(model.predict_proba(X), (1000, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :3], "X has 3 features, but the model was trained on 4"),
        (lambda X: X[:0], "no rows"),
        (lambda X: X[0], "must have two dimensions"),
        (lambda X: np.pad(X, ((0, 0), (0, 1)), constant_values=np.nan), "20 values that are NaN .*row 0, column 4"),
        (lambda X: np.where(np.arange(D) == 2, np.nan, X), "20 values that are NaN or infinite.*row 0, column 'c'"),
    ],
)
def test_features_that_do_not_fit_are_refused(model, X, change, message):
    with pytest.raises(InputError, match=message):
        model.predict(change(X))


def test_a_saved_model_loads_with_all_that_it_had(model, X, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    loaded = load_model(path)
    assert loaded.network == model.network
    assert loaded.feature_names == model.feature_names
    assert loaded.class_names is None
    assert loaded.classes.tolist() == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_file_that_is_missing_foreign_or_cut_is_refused(model, tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match="there is no model at"):
        load_model(path)
    path.write_bytes(b"not a model at all")
    with pytest.raises(InputError, match="cannot be read as a model"):
        load_model(path)
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(InputError, match="xpmlp did not write it"):
        load_model(path)
    save_model(model, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cannot be read as a model|did not write it"):
            load_model(path)


@pytest.mark.parametrize(
    ("dtype", "shape", "size"), [("BF16", [1], 2), ("F8_E4M3", [1], 1), ("F32", [0, 2**40, 2**40], 0)]
)
def test_arrays_that_numpy_cannot_hold_are_refused(dtype, shape, size, tmp_path):
    header = json.dumps({"W1": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(InputError, match=r"cannot be read as a model|did not write it"):  # JAX brings some of them
        load_model(path)


def test_every_changed_byte_and_every_cut_is_found_or_harmless(model, X, tmp_path):
    """One of the eight bits of each byte in turn; a file that still loads must predict the same."""
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    whole, expected = path.read_bytes(), model.predict_proba(X)
    harmless = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            loaded = load_model(path)
        except InputError:
            continue
        harmless += 1
        assert loaded.network == model.network
        assert loaded.classes.tolist() == model.classes.tolist()
        assert loaded.feature_names == model.feature_names
        np.testing.assert_array_equal(loaded.predict_proba(X), expected)
    assert harmless < 50  # padding
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cannot be read as a model|did not write it"):
            load_model(path)


def rewrite(path, *, arrays=None, **changes):
    """Write the model again with another description or other arrays."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["xpmlp"]) | changes
    description.pop("sha256")
    arrays = load_file(path) | (arrays or {})
    description["sha256"] = digest(arrays, description, "")
    save_file(arrays, path, {"xpmlp": json.dumps(description)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99, but this version of xpmlp reads format 1"),
        ({"sizes": [4, 6, 3]}, "its sizes .* need"),
        ({"sizes": [4, 5, 5, 3], "activations": ["relu", "relu"]}, "does not describe a model"),
        ({"sizes": []}, "does not describe a model"),
        ({"activations": ["sine"]}, "activation is 'sine'"),
        ({"loss": "hinge"}, "loss is 'hinge'"),
        ({"loss": ["hinge", 1.0]}, "loss is 'hinge'"),
        ({"loss": ["huber", -1.0]}, "threshold is -1.0"),
        ({"loss": ["huber"] * 3}, "does not describe a model"),
        ({"classes": ["ant"]}, "names 1 classes for 3 outputs"),
        ({"arrays": {"scaling.shift": np.zeros(2)}}, "scaling is not one of 4 features"),
        ({"arrays": {"b1": np.full(5, np.nan, np.float32)}}, "NaN or infinite"),
    ],
)
def test_a_description_that_makes_no_model_is_refused(model, tmp_path, changes, message):
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    rewrite(path, **changes)
    with pytest.raises(InputError, match=message):
        load_model(path)


def test_a_model_that_cannot_be_written_leaves_nothing(model, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        save_model(model, tmp_path / "nowhere" / "model.safetensors")
    folder = tmp_path / "model.safetensors"
    folder.mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        save_model(model, folder)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("loss", [*LOSSES.values(), huber(5.0), quantile(0.9)], ids=lambda loss: loss.name)
def test_every_loss_is_saved_with_its_settings_and_loads_equal(model, tmp_path, loss):
    path = tmp_path / "model.safetensors"
    save_model(replace(model, network=replace(model.network, loss=loss)), path)
    assert load_model(path).network.loss == loss


@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_a_file_that_names_a_loss_without_settings_has_the_default_ones(model, tmp_path, loss):
    """As files of earlier versions do."""
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    rewrite(path, loss=loss)
    assert load_model(path).network.loss == LOSSES[loss]


def test_a_model_with_functions_of_ones_own_is_not_saved_under_their_names(model, tmp_path):
    """A file holds names: another function of a known name would be read in its place."""
    (activation,) = model.network.activations
    mine = replace(activation, name="relu")
    changed = replace(huber(5.0), terms=LOSSES["squared"].terms)
    for network in (replace(model.network, activations=(mine,)), replace(model.network, loss=changed)):
        with pytest.raises(InputError, match=r"a function of your own, '(relu|huber)', cannot be saved"):
            save_model(replace(model, network=network), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_model_shows_itself_in_one_line_and_in_a_notebook_as_a_table_of_its_layers(model):
    line = "<Model 4-5-3 of 43 parameters in float32, activations gelu, loss softmax, 3 classes>"
    assert repr(model) == line
    table = model._repr_html_()
    assert line.replace("<", "&lt;").replace(">", "&gt;") in table
    for row in (("1", "4", "0", "5", "gelu", "25"), ("2", "5", "0", "3", "output of loss softmax", "18")):
        assert "<td>" + "</td><td>".join(row) + "</td>" in table


def as_torch(X, *, requires_grad=False):
    torch = pytest.importorskip("torch")
    return torch.tensor(X, requires_grad=requires_grad)


def as_jax(X):
    return pytest.importorskip("jax").numpy.asarray(X, dtype="float32")


def as_strict(X):
    strict = pytest.importorskip("array_api_strict")
    return strict.asarray(X, device=strict.Device("device1"))


def frame_of(library, X, names):
    return pytest.importorskip(library).DataFrame({name: X[:, "abcd".index(name)] for name in names})


KINDS = {
    "lists": lambda X: X.tolist(),
    "tuples": lambda X: tuple(map(tuple, X)),
    "integers": lambda X: [[int(value) for value in row] for row in X],
    "torch": as_torch,
    "torch with gradients": lambda X: as_torch(X, requires_grad=True),
    "jax": as_jax,
    "another device": as_strict,
    "pandas": lambda X: frame_of("pandas", X, "abcd"),
    "pandas without names": lambda X: pytest.importorskip("pandas").DataFrame(X),
    "pandas in another order": lambda X: frame_of("pandas", X, "dbac").assign(label="x"),
    "polars": lambda X: frame_of("polars", X, "abcd"),
    "polars in another order": lambda X: frame_of("polars", X, "cbda"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_numpys_and_the_same_from_tensors_frames_and_lists(model, kind):
    X = np.arange(-8.0, 8.0).reshape(4, D)
    for found, expected in (
        (model.predict_proba(KINDS[kind](X)), model.predict_proba(X)),
        (model.predict(KINDS[kind](X)), model.predict(X)),
    ):
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, expected)


def test_columns_of_a_frame_are_taken_in_their_order_where_the_training_data_had_no_names(model):
    X = np.arange(8.0).reshape(2, D)
    nameless = replace(model, feature_names=None)
    np.testing.assert_array_equal(nameless.predict_proba(frame_of("pandas", X, "abcd")), model.predict_proba(X))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_that_do_not_fit_are_refused_by_the_name_of_a_column(model, library):
    X = np.eye(D)
    with pytest.raises(InputError, match=r"X lacks the columns 'c', 'd', .* it has 'a', 'b'"):
        model.predict(frame_of(library, X, "ab"))
    words = frame_of(library, X.astype(int).astype(str), "abcd")
    with pytest.raises(InputError, match="column 'a' of X has dtype String, but features must be numbers"):
        model.predict(words)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1, 2], [3]], "X is list, and cannot be converted to an array of NumPy"),
        ([["a", "b", "c", "d"]], "X has dtype <U1, but must hold real numbers"),
        ("abcd", "X is str, but must be an array"),
        (None, "X is NoneType, but must be an array"),
        (sparse.csr_array(np.eye(D)), r"X is csr_array, but must be .* with X\.toarray\(\)"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(model, X, message):
    with pytest.raises(InputError, match=message):
        model.predict(X)


def test_a_tensor_that_numpy_has_no_dtype_for_is_refused(model):
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"X is Tensor, and cannot be converted to an array of NumPy: .*BFloat16"):
        model.predict(torch.ones(2, D, dtype=torch.bfloat16))


def test_a_backend_may_be_named(model, X, backend_name):
    if backend_name == "numpy-readonly":
        pytest.skip("numpy-readonly is a backend of the tests alone")
    found = model.predict_proba(X, backend_name)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, model.predict_proba(X, get_backend(backend_name)))
    np.testing.assert_array_equal(model.predict(X, backend_name), model.predict(X))


@pytest.mark.parametrize(
    ("backend", "message"),
    [("tensorflow", "backend is 'tensorflow', but must be one of"), (np, "backend is module, but must be a Backend")],
)
def test_what_is_no_backend_is_refused(model, X, backend, message):
    with pytest.raises(InputError, match=message):
        model.predict(X, backend)
