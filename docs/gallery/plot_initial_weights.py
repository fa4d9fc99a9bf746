"""
Why first weights matter
========================

A signal goes through ten layers before anything was learnt. With weights that are too small, such as those of the
report here, it dies away, and what is left of the gradients is small too. He's weights are scaled so that the signal
keeps its size behind rectified units, and Glorot's so that it does behind hyperbolic tangents.
"""

import matplotlib.pyplot as plt
import numpy as np

from xpmlp import INITIALIZERS, Network, bprop, fprop, get_backend, initialize

rng = np.random.default_rng(0)
backend = get_backend("numpy", dtype="float64")
X, T = rng.normal(size=(200, 100)), np.eye(10)[rng.integers(0, 10, size=200)]

figure, axes = plt.subplots(2, 2, figsize=(9, 5.5), sharex=True, sharey="row", layout="constrained")
for column, activation in zip(axes.T, ("relu", "tanh"), strict=True):
    network = Network.build(100, [100] * 10, 10, activation=activation)
    for name in INITIALIZERS:
        layers = initialize(network, seed=0, init=name)
        trace = fprop(backend.xp, network, layers, X)
        gradients, _ = bprop(backend.xp, network, layers, trace, T, scale=1 / 200)
        column[0].semilogy(range(1, 11), [a.std() for a in trace.a[1:-1]], "o-", ms=3, label=name)
        column[1].semilogy(range(1, 11), [np.linalg.norm(g.W) for g in gradients[:-1]], "o-", ms=3)
    column[0].set_title(activation)
    column[1].set_xlabel("hidden layer")
axes[0, 0].set_ylabel("spread of the activations")
axes[1, 0].set_ylabel("size of the gradient")
axes[0, 1].legend(fontsize="small")
