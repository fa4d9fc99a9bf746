"""Periodic embeddings: values, gradients, stacks, trainings, files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import QUICK
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from references import differences, mean_loss, onehot

from xpmlp import (
    SGD,
    Adam,
    AdamW,
    Constant,
    ElasticNet,
    Member,
    Recipe,
    check_gradients,
    export_model,
    initialize,
    load_model,
    save_model,
    train,
    train_many,
)
from xpmlp.common.errors import InputError
from xpmlp.data.datasets import load_dataset
from xpmlp.data.tables import Table
from xpmlp.experiments.cards import card_of
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.models.checkpoints import load_checkpoint, record_to_json, save_checkpoint
from xpmlp.nn.embeddings import embed, embed_backward
from xpmlp.nn.network import MODES, Layer, Network, bprop, fprop, gradient_function

K, D = 5, 6
COLUMNS = {"all": range(D), "one": [3], "the first": [0, 1], "the last": [4, 5], "apart": [0, 2, 3, 5]}
each_choice = pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)


def build(columns=None, *, frequencies=3, **options):
    return Network.build(D, [4], 3, activation="tanh", frequencies=frequencies, embedded=columns, **options)


def drawn(network, seed=0, scale=1.0):
    """Draw weights, with biases that are not 0."""
    rng = np.random.default_rng(seed)
    layers = initialize(network, seed=seed, frequency_scale=scale)
    return [layer if layer.b.ndim == 2 else Layer(layer.W, rng.normal(size=layer.b.shape)) for layer in layers]


def examples(rng, n=K):
    return rng.normal(size=(n, D)), onehot(rng.integers(3, size=n), 3)


def with_cosines(columns, w, c, X):
    """Give the embedded examples, one number at a time."""
    rows = [
        [*x, *(np.cos(w[i, j] * x[column] + c[i, j]) for i, column in enumerate(columns) for j in range(w.shape[1]))]
        for x in X
    ]
    return np.array(rows)


def loss_at(network, layers, X, T):
    (w, c), *dense = layers
    return mean_loss(dense, ["tanh"], "softmax", with_cosines(network.embedded, w, c, X), T)


@each_choice
def test_the_first_layer_is_given_the_features_and_then_the_cosines_of_each_that_is_embedded(
    backend, put, check, rng, columns
):
    network = build(columns)
    layers, (X, _) = drawn(network), examples(rng)
    trace = fprop(backend.xp, network, put(backend, layers), backend.asarray(X))
    check(backend, trace.a[0], with_cosines(columns, *layers[0], X))
    assert network.shapes[0] == (D + 3 * len(columns), 4)


@each_choice
@pytest.mark.parametrize("mode", MODES)
def test_gradients_by_frequencies_and_phases_are_those_of_differences(backend, put, check, rng, columns, mode):
    network = build(columns)
    layers, (X, T) = drawn(network), examples(rng)
    function = gradient_function(backend.xp, network, mode)
    _, (gradient, *_) = function(put(backend, layers), backend.asarray(X), backend.asarray(T))
    for number, letter in enumerate("Wb"):

        def loss(p, letter=letter):
            return loss_at(network, [layers[0]._replace(**{letter: p}), *layers[1:]], X, T)

        check(backend, gradient[number], differences(loss, layers[0][number], 1e-2), rtol=1e-7, atol=1e-9)


@each_choice
def test_the_input_gradient_goes_through_the_cosines_and_past_them(backend, put, check, rng, columns):
    network = build(columns)
    layers, (X, T) = drawn(network), examples(rng)
    own, x = put(backend, layers), backend.asarray(X)
    trace = fprop(backend.xp, network, own, x)
    _, dX = bprop(backend.xp, network, own, trace, backend.asarray(T), input_gradient=True)
    check(backend, dX, differences(lambda X: K * loss_at(network, layers, X, T), X, 1e-2), rtol=1e-7, atol=1e-9)


numbers = st.floats(-100, 100)


@settings(max_examples=30, deadline=None)
@given(
    w=arrays(float, (3, 2), elements=numbers),
    c=arrays(float, (3, 2), elements=numbers),
    X=arrays(float, (4, D), elements=numbers),
    delta=arrays(float, (4, D + 6), elements=st.floats(-1, 1)),
    columns=st.sets(st.integers(0, D - 1), min_size=3, max_size=3).map(sorted),
)
def test_the_backward_pass_is_the_derivative_of_the_forward_pass_at_any_numbers(backend, w, c, X, delta, columns):
    given_arrays = [backend.asarray(array) for array in (w, c, X, delta)]
    _, trace = embed(backend.xp, columns, given_arrays[:2], given_arrays[2])
    found = embed_backward(backend.xp, columns, given_arrays[:2], trace, given_arrays[3], input_gradient=True)
    found = map(backend.to_numpy, found)
    for number, (gradient, array) in enumerate(zip(found, (w, c, X), strict=True)):
        for index in np.ndindex(*array.shape):
            near = [np.array(each, dtype=complex) for each in (w, c, X)]
            near[number][index] += 1e-30j  # a complex step: the derivative without the rounding of a difference
            expected = (delta * with_cosines(columns, *near)).sum().imag / 1e-30
            np.testing.assert_allclose(gradient[index], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_every_parameter_passes_the_gradient_check_with_dropout_and_penalties(backend, rng, mode):
    for hidden in ([], [4], [4, 3]) if backend.name in QUICK else ([4],):
        network = Network.build(D, hidden, 3, activation="tanh", frequencies=2, embedded=[1, 2, 5])
        X, T = map(backend.asarray, examples(rng))
        masks = [backend.asarray(rng.integers(2, size=(K, n)) * 2.0) for n, _ in network.shapes]
        penalty = ElasticNet.build(len(hidden) + 1, l1=0.01, l2=0.1, alpha=0.1)
        found = check_gradients(backend, network, drawn(network), X, T, masks=masks, penalty=penalty, mode=mode)
        assert found.passed, hidden
        assert len(found.parameters) == network.n_parameters
        names = [parameter.name for parameter in found.parameters]
        assert names[:6] == ["w[0, 0]", "w[0, 1]", "w[1, 0]", "w[1, 1]", "w[2, 0]", "w[2, 1]"]
        assert (names[6], names[12]) == ("c[0, 0]", "W1[0, 0]")


@pytest.mark.parametrize("own", [False, True], ids=["shared examples", "own examples"])
def test_loop_matrix_and_stack_give_the_gradients_of_each_network_alone(backend, put, check, rng, own):
    network = build([0, 1, 4])
    members = [drawn(network, seed, scale=1.0 + seed) for seed in range(3)]
    stack = [Layer(*map(np.stack, zip(*layers, strict=True))) for layers in zip(*members, strict=True)]
    X, T = (np.stack(each) for each in zip(*(examples(rng) for _ in members), strict=True))
    X, T = (X, T) if own else (X[0], T[0])
    for mode in MODES:
        function = gradient_function(backend.xp, network, mode)
        losses, gradients = function(put(backend, stack), backend.asarray(X), backend.asarray(T))
        for m, alone in enumerate(members):
            arrays = [backend.asarray(array[m] if own else array) for array in (X, T)]
            loss, expected = gradient_function(backend.xp, network)(put(backend, alone), *arrays)
            check(backend, losses[m], backend.to_numpy(loss))
            for layer, layer_alone in zip(gradients, expected, strict=True):
                for p, p_alone in zip(layer, layer_alone, strict=True):
                    check(backend, p[m, ...], backend.to_numpy(p_alone))


def test_the_input_gradient_of_a_stack_is_that_of_each_network(backend, put, check, rng):
    network = build([0, 1, 4])
    members = [drawn(network, seed) for seed in range(3)]
    stack = [Layer(*map(np.stack, zip(*layers, strict=True))) for layers in zip(*members, strict=True)]
    xp, (X, T) = backend.xp, map(backend.asarray, examples(rng))

    def input_gradient(layers):
        return bprop(xp, network, layers, fprop(xp, network, layers, X), T, input_gradient=True)[1]

    dX = input_gradient(put(backend, stack))
    for m, alone in enumerate(members):
        check(backend, dX[m, ...], backend.to_numpy(input_gradient(put(backend, alone))))


def last(records):
    *_, record = records
    return record


N = 43
RULES = {
    "sgd": lambda m: Recipe(SGD(0.3 * m), Constant(0.1), seed=m),
    "adam": lambda m: Recipe(Adam(), Constant(0.02), ElasticNet.build(2, 0.01, 0.1 * m), seed=m, penalised=True),
    "adamw": lambda m: Recipe(AdamW(weight_decay=0.1 * m), Constant(0.01 * (m + 1)), seed=m),
    "loop": lambda m: Recipe(SGD(0.9), Constant(0.1), seed=m, mode="loop"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_member_of_a_stack_ends_with_the_weights_of_the_same_network_trained_alone(backend, rng, rule):
    X, T = map(backend.asarray, examples(rng, N))
    members = []
    for m in range(3):
        network = build([0, 2, 3], dropout=0.1 * m)
        layers = initialize(network, seed=m, frequency_scale=0.5 + m)
        members.append(Member(network, layers, replace(RULES[rule](m), batch_size=10, epochs=3)))
    records = last(train_many(backend, members, X, T))
    for (network, layers, recipe, *_), record in zip(members, records, strict=True):
        alone = last(train(backend, network, layers, X, T, recipe))
        for layer, layer_alone in zip(record.layers, alone.layers, strict=True):
            for p, p_alone in zip(layer, layer_alone, strict=True):
                np.testing.assert_allclose(backend.to_numpy(p), backend.to_numpy(p_alone), rtol=1e-10, atol=1e-12)
        for p, start in zip(alone.layers[0], layers[0], strict=True):
            assert np.abs(backend.to_numpy(p) - start).max() > 1e-4  # both are learnt


def test_decay_and_penalties_leave_frequencies_and_phases_alone(backend, put, check):
    network = build()
    layers = drawn(network)
    zeros = [Layer(*map(np.zeros_like, layer)) for layer in layers]
    penalty = ElasticNet.build(2, l1=0.1, l2=0.2, alpha=0.3)
    gradients = penalty.add_gradient(backend.xp, put(backend, layers), copies(backend, zeros))
    value = penalty.value(backend.xp, put(backend, layers))
    check(backend, value, sum(0.1 * np.abs(W).sum() + 0.35 * (W**2).sum() for W, _ in layers[1:]))
    flat = [p for layer in copies(backend, layers) for p in layer]
    slopes = [p for layer in copies(backend, zeros) for p in layer]
    rule = AdamW(weight_decay=0.5)
    state = rule.init(backend.xp, flat)
    moved, _ = rule.update(backend.xp, flat, slopes, state, 0.1, backend.asarray(1.0))
    for number, (W, b) in enumerate(layers):
        expected = [np.zeros_like(W), W] if number == 0 else [0.1 * np.sign(W) + 0.7 * W, 0.95 * W]
        check(backend, gradients[number].W, expected[0])
        check(backend, moved[2 * number], expected[1])
        check(backend, moved[2 * number + 1], b)


def copies(backend, layers):
    return [Layer(*map(backend.copy_to_device, layer)) for layer in layers]


def test_frequencies_are_normal_and_phases_uniform_and_the_other_weights_have_draws_of_their_own():
    network = Network.build(50, [4], 3, frequencies=200)
    (w, c), *layers = initialize(network, seed=3, frequency_scale=2.5)
    assert (w.mean(), w.std()) == (pytest.approx(0, abs=0.1), pytest.approx(2.5, rel=0.03))
    assert -np.pi <= c.min() < -3.1 < 3.1 < c.max() <= np.pi
    assert abs(c.mean()) < 0.1
    other, *same = initialize(network, seed=3, frequency_scale=0.5)
    np.testing.assert_allclose(other.W, w / 5)
    np.testing.assert_array_equal(other.b, c)
    for layer, again in zip(layers, same, strict=True):
        np.testing.assert_array_equal(layer.W, again.W)


def test_no_frequencies_and_no_columns_are_a_network_without_an_embedding():
    plain = Network.build(D, [4], 3)
    assert Network.build(D, [4], 3, frequencies=0, embedded=[0]) == plain
    assert Network.build(D, [4], 3, frequencies=5, embedded=[]) == plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequencies": -1}, "the number of frequencies is -1"),
        ({"frequencies": 2, "columns": [3, 1]}, r"embedded is \(3, 1\), but must be columns of 6 inputs in ascending"),
        ({"frequencies": 2, "columns": [1, 1]}, "ascending"),
        ({"frequencies": 2, "columns": [6]}, "columns of 6 inputs"),
    ],
)
def test_what_cannot_be_embedded_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        build(**options)


def test_a_scale_of_frequencies_that_is_not_above_0_is_refused():
    with pytest.raises(InputError, match="frequency scale is 0"):
        initialize(build(), frequency_scale=0)


# From here on, trainings as the command line makes them, and what becomes of their models.


@pytest.fixture
def people(write):
    rng = np.random.default_rng(5)
    rows = [
        f"{'' if rng.random() < 0.1 else round(rng.normal(40, 9), 1)},{rng.choice(['smith', 'nurse'])},"
        f"{rng.choice(['true', 'false'])},{rng.normal():.3f},{rng.choice(['yes', 'no'])}"
        for _ in range(120)
    ]
    return write("age,job,member,score,happy\n" + "\n".join(rows) + "\n", "people.csv")


def trained_model(dataset, **options):
    experiment = prepare(Options(str(dataset), frequencies=3, hidden=(5,), epochs=2, **options))
    return experiment.trained(last(experiment.records()).layers)


def test_of_a_table_numbers_alone_have_cosines(people):
    model = trained_model(people)
    names = model.preparation.feature_names_out
    assert names == ("age", "age missing", "job=nurse", "job=smith", "member", "score")
    assert model.network.embedded == (0, 5)
    assert model.layers[0].W.shape == (2, 3)


def test_of_an_array_all_columns_have_cosines():
    assert trained_model("circles").network.embedded == (0, 1)


def test_frequencies_are_refused_where_no_column_is_a_number(write):
    path = write("job,happy\n" + "smith,no\nnurse,yes\n" * 40)
    with pytest.raises(InputError, match="frequencies is 3, but no column of the table is a number or a date"):
        trained_model(path)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_files_predict_as_the_model_does(people, tmp_path, members, dtype):
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for dataset in (people, "circles"):
        model = trained_model(dataset, members=members, dtype=dtype)
        save_model(model, tmp_path / "model.safetensors")
        again = load_model(tmp_path / "model.safetensors")
        assert again.network == model.network
        X = load_dataset(str(dataset)).X
        expected = model.predict_proba(X)
        np.testing.assert_array_equal(again.predict_proba(X), expected)
        export_model(model, tmp_path / "model.onnx", overwrite=True)
        session = runtime.InferenceSession(tmp_path / "model.onnx")
        if isinstance(X, Table):
            given = {column.name: column.values for column in X.columns}
            given = {
                name: np.array(["" if each is None else each for each in values], dtype=object)
                if values.dtype == object
                else values
                for name, values in given.items()
            }
            given = {name: values[:, None] for name, values in given.items()}
        else:
            given = {"X": np.asarray(X, dtype)}
        (found,) = session.run(["probabilities"], given)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if dtype == "float32" else 1e-12)


def test_plain_arrays_name_the_columns_and_have_w_and_c(tmp_path):
    model = trained_model("circles")
    export_model(model, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        assert json.loads(str(arrays["description"]))["embedded"] == [0, 1]
        np.testing.assert_array_equal(arrays["w"], model.layers[0].W)
        np.testing.assert_array_equal(arrays["c"], model.layers[0].b)
        x = (np.array([[0.1, 0.7]]) - arrays["shift"]) * arrays["scale"]
        cosines = np.cos(x[:, :, None] * arrays["w"] + arrays["c"]).reshape(1, -1)
        z = np.maximum(np.hstack([x, cosines]) @ arrays["W1"] + arrays["b1"], 0) @ arrays["W2"] + arrays["b2"]
    np.testing.assert_allclose(model.predict_proba([[0.1, 0.7]]), np.exp(z) / np.exp(z).sum(), rtol=1e-5)


def test_scikit_learn_cannot_express_cosines(tmp_path):
    with pytest.raises(InputError, match="has no cosines of features"):
        export_model(trained_model("circles"), tmp_path / "model.skops")


def test_a_model_file_with_other_shapes_than_its_frequencies_is_refused(tmp_path):
    model = trained_model("circles")
    wrong = replace(model, network=replace(model.network, frequencies=2))
    save_model(wrong, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="its weights have shapes"):
        load_model(tmp_path / "model.safetensors")


def test_a_model_says_that_it_has_cosines():
    model = trained_model("circles")
    assert "<Model 2-5-2 of 69 parameters in float32, 6 cosines of inputs, activations relu" in repr(model)
    assert "<td>cosines</td><td>2</td><td>0</td><td>6</td><td>cos(w x + c)</td><td>12</td>" in model._repr_html_()


def test_an_interrupted_training_goes_on_to_the_same_weights(people, tmp_path):
    options = Options(str(people), frequencies=3, frequency_scale=0.5, members=2, epochs=4, patience=9, hidden=(5,))
    whole, path = prepare(options), tmp_path / "checkpoint.safetensors"
    first, second, *_, expected = whole.records()
    save_checkpoint([], second, list(map(record_to_json, (first, second))), whole.backend.to_numpy, path)
    resumed = last(prepare(options).records(resume=load_checkpoint(path).records[-1]))
    for one, other in ((resumed, expected), (resumed.best, expected.best)):
        for layer, layer_of_whole in zip(one.layers, other.layers, strict=True):
            for p, p_of_whole in zip(layer, layer_of_whole, strict=True):
                np.testing.assert_array_equal(p, p_of_whole)


def test_the_card_of_a_run_tells_of_its_cosines(people, cli, tmp_path):
    code, _, err = cli("train", people, "--frequencies", 3, "--frequency-scale", 0.5, "--hidden", 5, "--out", "run")
    assert code == 0, err
    card = card_of(tmp_path / "run")
    assert card["network"]["embedding"] == {"inputs": 2, "frequencies": 3, "parameters": 12}
    assert [(layer["inputs"], layer["parameters"]) for layer in card["network"]["layers"]] == [(12, 65), (5, 12)]
    assert card["network"]["parameters"] == 12 + 65 + 12
    assert card["recipe"]["frequency_scale"] == 0.5
    (tmp_path / "run" / "model.safetensors").unlink()
    assert card_of(tmp_path / "run")["network"] == card["network"]
    assert "3 frequencies" in cli("show", "run")[1]


@pytest.mark.parametrize(
    ("flag", "message"), [("--frequencies", "number of frequencies"), ("--frequency-scale", "frequency scale")]
)
def test_options_out_of_bounds_are_refused_before_anything_is_read(cli, flag, message):
    code, _, err = cli("train", "missing.csv", flag, "-1")
    assert code == 2
    assert message in err
    assert "missing.csv" not in err


def test_the_command_gradcheck_checks_frequencies_and_phases(cli):
    code, out, err = cli("gradcheck", "--frequencies", 2, "--activation", "tanh")
    assert code == 0, err
    assert "w[1, 1]" in out
    assert "2 frequencies" in out
