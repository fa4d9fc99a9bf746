"""Independent computations that the tests compare with: NumPy and SciPy alone, one example at a time, as vectors.

Nothing here imports the mathematics of xpmlp, so that no statement is checked against itself.
"""

from collections import namedtuple
from itertools import pairwise

import numpy as np
from scipy import special, stats

Problem = namedtuple("Problem", "layers X T")  # noqa: PYI024 - a test needs no types

GELU_C = np.sqrt(2 / np.pi)


def gelu_argument(z):
    return GELU_C * (z + 0.044715 * z**3)


def gelu(z):
    """Give 0.5 z (1 + tanh(u)), as z sigmoid(2 u)."""
    return z * special.expit(2 * gelu_argument(z))


def d_gelu(z):
    s = special.expit(2 * gelu_argument(z))
    return s + z * s * (1 - s) * 2 * GELU_C * (1 + 3 * 0.044715 * z**2)


FUNCTIONS = {
    "identity": np.array,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, special.expm1(z)),
    "tanh": np.tanh,
    "logistic": special.expit,
    "softplus": lambda z: -special.log_expit(-z),
    "silu": lambda z: z * special.expit(z),
    "gelu": gelu,
}

DERIVATIVES = {
    "identity": np.ones_like,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.01),
    "elu": lambda z: np.where(z > 0, 1.0, np.exp(z)),
    "tanh": lambda z: np.cosh(z) ** -2.0,
    "logistic": lambda z: special.expit(z) * special.expit(-z),
    "softplus": special.expit,
    "silu": lambda z: special.expit(z) * (1 + z * special.expit(-z)),
    "gelu": d_gelu,
}


def halves(z):
    """Means and what variances come from, of a network with the loss "gaussian"."""
    return np.split(z, 2)


def variance(s):
    return np.log1p(np.exp(s)) + 1e-6


def d_gaussian(mean, v, t):
    """By the mean, and by s: dL/dv times the logistic function of s, where v = ln(1 + e^s) + 1e-6."""
    s = np.log(np.expm1(v - 1e-6))
    return (mean - t) / v, (1 / v - ((mean - t) / v) ** 2) / 2 * special.expit(s)


KINKED = ("relu", "leaky_relu", "elu")  # the first or second derivative jumps at 0

OUTPUTS = {
    "softmax": special.softmax,
    "logistic": special.expit,
    "squared": np.array,
    "poisson": np.exp,
    "absolute": np.array,
    "huber": np.array,
    "quantile": np.array,
    "gaussian": lambda z: np.concatenate([halves(z)[0], variance(halves(z)[1])]),
}

# dL/dz of one example, from its output and target; the canonical a - t for those that are not here.
DELTAS = {
    "absolute": lambda a, t: np.sign(a - t),
    "huber": lambda a, t: np.clip(a - t, -1.0, 1.0),
    "quantile": lambda a, t: np.sign(a - t) / 2,
    "gaussian": lambda a, t: np.concatenate(d_gaussian(*halves(a), t)),
}

ROW_LOSSES = {
    "softmax": lambda z, t: -t @ special.log_softmax(z),
    "logistic": lambda z, t: -t @ special.log_expit(z) - (1 - t) @ special.log_expit(-z),
    "squared": lambda z, t: ((z - t) ** 2).sum() / 2,
    "poisson": lambda z, t: (special.xlogy(t, t) - t * z - t + np.exp(z)).sum(),
    "absolute": lambda z, t: np.abs(z - t).sum(),
    "huber": lambda z, t: special.huber(1.0, z - t).sum(),
    "quantile": lambda z, t: np.abs(z - t).sum() / 2,
    "gaussian": lambda z, t: -stats.norm.logpdf(t, halves(z)[0], np.sqrt(variance(halves(z)[1]))).sum(),
}


def total_loss(loss, z, T):
    return sum(ROW_LOSSES[loss](z_k, t_k) for z_k, t_k in zip(z, T, strict=True))


def onehot(y, m):
    return np.array([[float(j == label) for j in range(m)] for label in y])


def targets(loss, rng, n, m):
    """Draw targets of the kind that a loss is for: classes, labels or real numbers."""
    if loss == "softmax":
        return onehot(rng.integers(m, size=n), m)
    if loss == "poisson":
        return rng.poisson(2.0, size=(n, m)).astype(float)
    return rng.integers(2, size=(n, m)).astype(float) if loss == "logistic" else rng.normal(size=(n, m))


def problem(rng, sizes, loss="softmax", n=3):
    """Draw host weights (biases too), examples and targets for a network of these sizes."""
    layers = [
        (rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in), 0.3 * rng.normal(size=fan_out))
        for fan_in, fan_out in pairwise(sizes)
    ]
    m = sizes[-1] // (2 if loss == "gaussian" else 1)
    return Problem(layers, rng.normal(size=(n, sizes[0])), targets(loss, rng, n, m))


def row_forward(layers, activations, x):
    """Give the pre-activations and the activations of one example, with weights transposed as the report has them."""
    z, a = [], [x]
    for i, (W, b) in enumerate(layers):
        z.append(np.array([sum(W[j, k] * a[-1][j] for j in range(W.shape[0])) + b[k] for k in range(W.shape[1])]))
        a.append(FUNCTIONS[activations[i]](z[-1]) if i < len(activations) else z[-1])
    return z, a


def row_gradients(layers, activations, loss, x, t):
    """Give [(dW, db), ...] and dx of the loss of one example: outer products of column vectors, layer by layer."""
    z, a = row_forward(layers, activations, x)
    delta = DELTAS.get(loss, np.subtract)(OUTPUTS[loss](z[-1]), t)
    gradients = []
    for i in reversed(range(len(layers))):
        gradients.insert(0, (np.outer(a[i], delta), delta))
        da = layers[i][0] @ delta
        delta = da * DERIVATIVES[activations[i - 1]](z[i - 1]) if i else da
    return gradients, delta


def mean_loss(layers, activations, loss, X, T):
    logits = [row_forward(layers, activations, x)[0][-1] for x in X]
    return total_loss(loss, logits, T) / len(X)


def summed_gradients(layers, activations, loss, X, T, weights):
    """Sum `row_gradients` over the examples, each with its weight."""
    total = [(np.zeros_like(W), np.zeros_like(b)) for W, b in layers]
    for x, t, weight in zip(X, T, weights, strict=True):
        row, _ = row_gradients(layers, activations, loss, x, t)
        total = [(W + weight * dW, b + weight * db) for (W, b), (dW, db) in zip(total, row, strict=True)]
    return total


def mean_gradients(layers, activations, loss, X, T):
    """Average `row_gradients` over the examples."""
    return summed_gradients(layers, activations, loss, X, T, [1 / len(X)] * len(X))


def check_layers(check, backend, results, expected, **tolerances):
    """Apply the fixture `check` to the weights and biases of all layers, or to their gradients."""
    for (W, b), (expected_W, expected_b) in zip(results, expected, strict=True):
        check(backend, W, expected_W, **tolerances)
        check(backend, b, expected_b, **tolerances)


def differences(f, x, step=1e-3):
    """Differentiate a scalar function at every entry of an array, by central differences of sixth order."""
    x = np.asarray(x, dtype=float)
    gradient = np.empty_like(x)
    for index in np.ndindex(*x.shape):

        def moved(offset, index=index):
            near = x.copy()
            near[index] += offset * step
            return f(near)

        pairs = [(weight, moved(k) - moved(-k)) for k, weight in ((1, 45.0), (2, -9.0), (3, 1.0))]
        gradient[index] = sum(weight * difference for weight, difference in pairs) / (60 * step)
    return gradient


def differentiate_layers(f, layers):
    """Differentiate a function of all parameters by each of them, with steps that stay clear of the kinks."""
    gradients = []
    for i, layer in enumerate(layers):
        pair = []
        for j, p in enumerate(layer):

            def of_one(moved, i=i, j=j):
                near = [list(pair) for pair in layers]
                near[i][j] = moved
                return f(near)

            pair.append(differences(of_one, p, 1e-4))
        gradients.append(tuple(pair))
    return gradients


# A .csv file with a header: two examples of two features.
TABLE = "width,height,kind\n1,2.5,cat\n-3e2,4,dog\n"


def every_size(dtype):
    """Give numbers of every size that a dtype has, of both signs: from 0 to a quarter of the largest."""
    info = np.finfo(dtype)
    sizes = np.geomspace(info.tiny, info.max / 4, 999, dtype=dtype)
    return np.concatenate([-sizes[::-1], np.zeros(1, dtype), np.linspace(-40, 40, 401, dtype=dtype), sizes])


def output_of(loss, xp, z):
    """Give a network's output from its logits, by the two functions of its loss."""
    return loss.outputs(xp, loss.normalise(xp, z))
