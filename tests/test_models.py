"""Trained models: predictions, and files that hold all it takes to make them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import sparse

from xpmlp import (
    InputError,
    Model,
    Network,
    Scaling,
    XpmlpWarning,
    get_backend,
    initialize,
    load_model,
    save_model,
)
from xpmlp.models.files import digest
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


@pytest.mark.parametrize("ending", [".onnx", ".npz", ".skops", ".ONNX"])
def test_a_model_is_not_saved_under_the_ending_of_another_kind_of_file(model, tmp_path, ending):
    with pytest.raises(InputError, match=rf"save_model writes safetensors. Use export_model for \{ending.lower()}"):
        save_model(model, tmp_path / f"model{ending}")
    assert not list(tmp_path.iterdir())


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
    classes = None if loss.correct is None else model.classes
    network = Network.build(4, 5, 3, loss=loss)
    save_model(replace(model, network=network, layers=initialize(network), classes=classes), path)
    assert load_model(path).network == network


@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_a_file_that_names_a_loss_without_settings_has_the_default_ones(model, tmp_path, loss):
    """As files of earlier versions do."""
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    rewrite(path, loss=loss)
    loaded = load_model(path)
    assert loaded.network.loss == LOSSES[loss]
    assert loaded.task == "regression"  # such files name classes too, which no loss of real numbers has


def test_a_model_with_functions_of_ones_own_is_not_saved_under_their_names(model, tmp_path):
    """A file holds names: another function of a known name would be read in its place."""
    (activation,) = model.network.activations
    mine = replace(activation, name="relu")
    changed = replace(huber(5.0), terms=LOSSES["squared"].terms)
    for network in (replace(model.network, activations=(mine,)), replace(model.network, loss=changed)):
        model = replace(model, network=network, classes=model.classes if network.loss.correct else None)
        with pytest.raises(InputError, match=r"a function of your own, '(relu|huber)', cannot be saved"):
            save_model(model, tmp_path / "model.safetensors")
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
        ("abcd", "There is no file abcd: check its name"),
        (None, "X is NoneType, but must be an array"),
        (sparse.csr_array(np.eye(D)), r"X is csr_array, but must be .* with X\.toarray\(\)"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(model, X, message):
    with pytest.raises(InputError, match=message):
        model.predict(X)


@pytest.mark.torch_or_jax
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


MILLIONS = Scaling(np.array([1e6]), np.array([1e-4]))


def regression(model, targets=MILLIONS, **more):
    """The first outputs of the model, as a regression."""
    network = Network.build(D, [5], targets.shift.size, activation="gelu", loss="squared")
    *before, (W, b) = model.layers
    layers = [*before, type(model.layers[0])(W[:, : targets.shift.size], b[: targets.shift.size])]
    return replace(model, network=network, layers=layers, classes=None, target_scaling=targets, **more)


def test_a_regression_gives_values_in_the_targets_own_units(model, X, backend):
    model = regression(model)
    (W1, b1), (W2, b2) = model.layers
    z = ((X - np.arange(D)) * 0.5).dot(W1) + b1
    a = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    found = model.predict(X, backend)
    assert (model.task, found.shape, found.dtype) == ("regression", (20,), np.float64)
    np.testing.assert_allclose(found, (a.dot(W2) + b2)[:, 0] * 1e4 + 1e6, rtol=1e-10)


def test_several_targets_are_columns_each_in_its_own_units(model, X):
    plain = regression(model, Scaling(np.zeros(2), np.ones(2)))
    scaled = replace(plain, target_scaling=Scaling(np.array([5.0, -7.0]), np.array([0.5, 0.1])))
    np.testing.assert_allclose(scaled.predict(X), plain.predict(X) * [2.0, 10.0] + [5.0, -7.0], rtol=1e-12)
    np.testing.assert_array_equal(replace(plain, target_scaling=None).predict(X), plain.predict(X))


def test_a_regression_has_no_probabilities(model, X):
    with pytest.raises(InputError, match="is a regression, which has no probabilities: `predict` gives its values"):
        regression(model).predict_proba(X)


def logistic(model, n_outputs, classes, **more):
    """The first outputs of the model, as logistic ones."""
    network = Network.build(D, [5], n_outputs, activation="gelu", loss="logistic")
    *before, (W, b) = model.layers
    layers = [*before, type(model.layers[0])(W[:, :n_outputs], b[:n_outputs])]
    return replace(model, network=network, layers=layers, classes=np.array(classes), **more)


def test_one_logistic_output_is_the_probability_of_the_second_of_two_classes(model, X):
    binary = logistic(model, 1, ["no", "yes"])
    p = binary.predict_proba(X)
    assert (binary.task, p.shape) == ("classification", (20, 2))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-6)
    alone = logistic(model, 2, ["a", "b"], multilabel=True).predict_proba(X)[:, 0]
    np.testing.assert_allclose(p[:, 1], alone, rtol=1e-6)  # a product of two columns may round otherwise
    np.testing.assert_array_equal(binary.predict(X), np.where(alone > 0.5, "yes", "no"))
    assert len(set(binary.predict(X))) == 2
    np.testing.assert_array_equal(binary.encode_targets(np.array(["yes", "no"])), [[1], [0]])


def test_each_of_several_labels_is_predicted_at_one_half(model, X):
    several = logistic(model, 3, ["ant", "bee", "cat"], multilabel=True)
    p, predicted = several.predict_proba(X), several.predict(X)
    assert (several.task, predicted.shape) == ("multilabel", (20, 3))
    np.testing.assert_array_equal(predicted, (p > 0.5).astype(int))
    assert set(predicted.sum(axis=1)) - {1}


@pytest.mark.parametrize("kind", ["regression", "unscaled", "binary", "multilabel"])
def test_a_saved_model_of_every_task_loads_with_all_that_it_had(model, X, tmp_path, kind):
    model = {
        "regression": lambda: regression(model, target_names=("price",)),
        "unscaled": lambda: replace(regression(model), target_scaling=None),
        "binary": lambda: logistic(model, 1, [3, 7]),
        "multilabel": lambda: logistic(model, 2, ["sun", "rain"], multilabel=True),
    }[kind]()
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert (loaded.task, loaded.target_names, loaded.multilabel) == (model.task, model.target_names, model.multilabel)
    assert (loaded.target_scaling is None) == (model.target_scaling is None)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert repr(loaded) == repr(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": None}, "loss 'softmax' needs the classes that its outputs stand for"),
        ({"classes": np.arange(2)}, "names 2 classes for 3 outputs"),
        ({"network": Network.build(D, [5], M, loss="squared")}, "has no real targets, as loss 'squared'"),
        ({"target_scaling": Scaling(np.zeros(M), np.ones(M))}, "has no real targets"),
    ],
)
def test_classes_targets_and_loss_have_to_go_together(model, change, message):
    with pytest.raises(InputError, match=message):
        replace(model, **change)
    with pytest.raises(InputError, match="target scaling is one of 2 targets, but there are 1 outputs"):
        replace(regression(model), target_scaling=Scaling(np.zeros(2), np.ones(2)))
    with pytest.raises(InputError, match="a single label is a classifier of two classes"):
        logistic(model, 1, ["a", "b"], multilabel=True)


def test_targets_are_encoded_as_the_network_was_trained_on_them(model):
    np.testing.assert_array_equal(model.encode_targets(np.array(["cat", "ant"])), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(regression(model).encode_targets(np.array([1e6, 1.02e6])), [[0.0], [2.0]])
    with pytest.raises(InputError, match="y has 2 columns, but the model has 1 outputs"):
        regression(model).encode_targets(np.zeros((3, 2)))


@pytest.fixture(name="filling")
def a_model_of_a_table_of_numbers(model):
    return replace(model, medians=np.array([1.0, -2.0, 0.5, 3.0]))


def test_gaps_are_filled_by_the_medians_of_training_and_counted(filling, X):
    X[0, 1] = X[3, 1] = X[4, 3] = np.nan
    filled = X.copy()
    filled[[0, 3], 1], filled[4, 3] = -2.0, 3.0
    with pytest.warns(XpmlpWarning) as caught:
        p = filling.predict_proba(X)
    np.testing.assert_array_equal(p, filling.predict_proba(filled))
    (warning,) = caught
    assert str(warning.message) == (
        "column 'b' has 2 gaps, where training had none: filled by -2; "
        "column 'd' has 1 gap, where training had none: filled by 3."
    )
    assert np.isnan(X[0, 1])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_gaps_of_frames_are_filled_too(filling, X, library):
    frames = pytest.importorskip(library)
    X[2, 0] = np.nan
    columns = {name: [None if x != x else x for x in X[:, j].tolist()] for j, name in enumerate("abcd")}  # noqa: PLR0124 - NaN
    with pytest.warns(XpmlpWarning, match="column 'a' has 1 gap"):
        expected = filling.predict_proba(X)
    with pytest.warns(XpmlpWarning, match="column 'a' has 1 gap"):
        np.testing.assert_array_equal(filling.predict_proba(frames.DataFrame(columns)), expected)


def test_infinite_features_and_gaps_without_medians_are_refused(filling, model, X):
    X[0, 1] = np.inf
    with pytest.raises(InputError, match=r"1 value that is NaN or infinite, the first \(inf\) at row 0, column 'b'"):
        filling.predict(X)
    X[0, 1] = np.nan
    with pytest.raises(InputError, match=r"1 value that is NaN or infinite, the first \(nan\) at row 0, column 'b'"):
        model.predict(X)


def test_medians_are_kept_in_the_file_one_for_each_feature(filling, model, tmp_path):
    save_model(filling, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").medians, filling.medians)
    save_model(model, tmp_path / "other.safetensors")
    assert load_model(tmp_path / "other.safetensors").medians is None
    with pytest.raises(InputError, match="the model has 3 medians, but the network takes 4 features"):
        replace(model, medians=np.ones(3))
