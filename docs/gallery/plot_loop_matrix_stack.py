"""
Loop, matrix, stack
===================

The same two functions, `fprop` and `bprop`, called in three ways: for one example at a time, for a minibatch at once,
and for a minibatch of 64 networks at once. The gradients are the same. The time is not.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

from xpmlp import Layer, Network, get_backend, gradient_function, initialize

rng = np.random.default_rng(0)
backend = get_backend("numpy", dtype="float64")
network = Network.build(8, 16, 4, activation="tanh", loss="softmax")
members = [initialize(network, seed=seed) for seed in range(64)]
stack = [Layer(*(np.stack(arrays) for arrays in zip(*layers, strict=True))) for layers in zip(*members, strict=True)]
K = 32
X, T = rng.normal(size=(K, 8)), np.eye(4)[rng.integers(0, 4, size=K)]

loop = gradient_function(backend.xp, network, mode="loop")
matrix = gradient_function(backend.xp, network)

# %%
# The stack has the weights of all networks in arrays with one axis more, (64, 8, 16) in place of (8, 16). Its gradients
# are those of its members.

print("weights of the stack:", stack[0].W.shape)
_, of_all = matrix(stack, X, T)
for number, layers in enumerate(members):
    for way in (loop, matrix):
        _, gradients = way(layers, X, T)
        assert all(np.allclose(all_.W[number], one.W) for all_, one in zip(of_all, gradients, strict=True))


# %%
# How many gradients of an example, for one network, does each way give in a second?


def seconds(function):
    """The shortest of seven times."""

    def once():
        start = perf_counter()
        function()
        return perf_counter() - start

    return min(once() for _ in range(7))


rates = {
    "loop\none example": K / seconds(lambda: loop(members[0], X, T)),
    f"matrix\n{K} examples": K / seconds(lambda: matrix(members[0], X, T)),
    f"stack\n{K} examples, 64 networks": 64 * K / seconds(lambda: matrix(stack, X, T)),
}
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
bars = axes.bar(list(rates), list(rates.values()), color=["tab:gray", "tab:blue", "tab:orange"])
axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates.values()])
axes.set(yscale="log", ylabel="gradients in a second", title="A small network, 8-16-4, on one core")
axes.margins(y=0.15)
