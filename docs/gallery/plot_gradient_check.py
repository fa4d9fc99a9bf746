"""
Checking a gradient
===================

A gradient is a slope: move one weight by `h` to both sides, and divide the change of the loss by `2 h`. How small
should `h` be? The error of the formula falls with the square of `h`, until rounding takes over, which grows as `h`
shrinks. `check_gradients` uses four points, whose error falls with the fourth power, and so gets three digits more.
"""

import matplotlib.pyplot as plt
import numpy as np

from xpmlp import Layer, Network, bprop, check_gradients, fprop, get_backend, initialize

rng = np.random.default_rng(0)
backend = get_backend("numpy", dtype="float64")
X, T = rng.normal(size=(20, 5)), np.eye(3)[rng.integers(0, 3, size=20)]
network = Network.build(5, 10, 3, activation="tanh", loss="softmax")
first, *rest = layers = initialize(network, seed=0)

trace = fprop(backend.xp, network, layers, X)
gradients, _ = bprop(backend.xp, network, layers, trace, T, scale=1 / 20)
exact = gradients[0].W[0, 0]


def loss(moved):
    W = np.array(first.W)
    W[0, 0] += moved
    output = fprop(backend.xp, network, [Layer(W, first.b), *rest], X).a[-1]
    return -np.log(output[T == 1]).mean()


steps = np.logspace(-1, -12, 60)
two = [abs((loss(h) - loss(-h)) / (2 * h) - exact) for h in steps]
four = [abs((8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h) - exact) for h in steps]

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.loglog(steps, two, label="two points")
axes.loglog(steps, four, label="four points")
axes.set(xlabel="h", ylabel="distance from the gradient of bprop", title="The gradient by one weight")
axes.legend()

# %%
# The check of all parameters at once, with the one that is furthest off.

check = check_gradients(backend, network, layers, X, T)
print(f"{len(check.parameters)} parameters, passed: {check.passed}; worst: {check.worst.name}, {check.worst.error:.1e}")
