"""8-bit examples that become floating in their minibatch alone."""

import numpy as np
import pytest

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import Dataset
from xpmlp.data.examples import Examples, QuantizedExamples, dequantize, slice_rows, take_rows
from xpmlp.data.preprocessing import Scaling
from xpmlp.experiments.experiment import lay_out
from xpmlp.models.model import Model
from xpmlp.nn.initializers import initialize
from xpmlp.nn.network import Network
from xpmlp.training import Recipe, train

PIXELS = np.arange(256, dtype=np.uint8).reshape(64, 4)
LABELS = np.arange(64) % 3


def model(kind):
    return Model(
        network := Network.build(4, [5], 3, dropout=0.25),
        initialize(network, seed=1),
        np.arange(3),
        Scaling.fit(kind, PIXELS, 255.0),
    )


def both(backend, kind="range"):
    """The same examples, as they came and as floating numbers."""
    trained = model(kind)
    return lay_out(trained, backend, PIXELS, LABELS), lay_out(trained, backend, PIXELS.astype(np.int64), LABELS)


def test_pixels_stay_8_bit_where_scaling_them_only_multiplies(backend):
    (kept, _), (plain, _) = both(backend)
    assert isinstance(kept, QuantizedExamples)
    assert str(kept.values.dtype).endswith("uint8")
    assert kept.shape == plain.shape == (64, 4)
    assert repr(kept) == f"<QuantizedExamples (64, 4) of {kept.values.dtype}>"
    (shifted, _), _ = both(backend, "standard")
    assert shifted.dtype == backend.float_dtype


def test_a_minibatch_has_the_same_bits_either_way(backend, check):
    (kept, T), (plain, _) = both(backend)
    rows = backend.asindex([63, 0, 7])
    check(
        backend, take_rows(backend.xp, Examples(kept, T), rows).X, backend.to_numpy(plain)[[63, 0, 7]], rtol=0, atol=0
    )
    for X in (kept, plain):
        part = dequantize(backend.xp, slice_rows(Examples(X, T), 5, 9).X)
        check(backend, part, backend.to_numpy(plain)[5:9], rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["matrix", "loop"])
def test_training_gives_the_same_weights_and_scores_either_way(backend, mode):
    ends = []
    for X, T in both(backend):
        initial = model("range")
        recipe = Recipe(epochs=2, batch_size=24, mode=mode)
        *_, record = train(backend, initial.network, initial.layers, X, T, recipe, evaluate={"train": (X, T)})
        ends.append(record)
    kept, plain = ends
    assert kept.scores == plain.scores
    for layer, other in zip(kept.layers, plain.layers, strict=True):
        np.testing.assert_allclose(backend.to_numpy(layer.W), backend.to_numpy(other.W), rtol=1e-12)
        np.testing.assert_allclose(backend.to_numpy(layer.b), backend.to_numpy(other.b), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones((3, 4))}, "their values are no integers of"),
        ({"scale": np.ones(3)}, r"have 4 features, but a scale of shape \(3,\)"),
        ({"scale": np.full(4, np.nan)}, "NaN"),
    ],
)
def test_examples_that_are_no_scaled_integers_are_refused_before_training(backend, change, message):
    (kept, T), _ = both(backend)
    changed = kept._replace(**{name: backend.asarray(values) for name, values in change.items()})
    initial = model("range")
    with pytest.raises(InputError, match=message):
        train(backend, initial.network, initial.layers, changed, T, Recipe())


def test_one_factor_for_all_features_gives_the_bits_of_one_for_each(backend):
    (kept, _), _ = both(backend)
    assert tuple(kept.scale.shape) == (1,)
    scale = backend.asarray(np.full(kept.shape[1], backend.to_numpy(kept.scale)[0]))
    one, each = (backend.to_numpy(dequantize(backend.xp, X)) for X in (kept, kept._replace(scale=scale)))
    np.testing.assert_array_equal(one, each)


def test_a_data_set_of_other_integers_is_made_floating(backend):
    dataset = Dataset("wide", PIXELS.astype(np.int16), LABELS)
    X, _ = lay_out(model("range"), backend, dataset.X, dataset.y)
    assert X.dtype == backend.float_dtype
