"""
A boundary that grows
=====================

One network, photographed while it learns to tell two half moons apart. It begins with a straight cut, as a network with
small weights is almost linear, and bends it epoch by epoch.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from xpmlp import Adam, Constant, Network, Recipe, fprop, get_backend, initialize, train

X, y = make_moons(400, noise=0.2, random_state=0)
backend = get_backend("numpy")
network = Network.build(2, [32, 32], 2, activation="tanh", loss="softmax")
recipe = Recipe(Adam(), Constant(5e-3), batch_size=20, epochs=40)

# %%
# `train` gives a record after each epoch, with the weights of that moment. We keep six of them and colour the plane by
# the probability of the second moon.

across, up = np.meshgrid(np.linspace(-1.8, 2.8, 200), np.linspace(-1.3, 1.8, 200))
plane = backend.asarray(np.column_stack([across.ravel(), up.ravel()]))
figure, axes = plt.subplots(2, 3, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
panels = dict(zip([1, 2, 4, 8, 16, 40], axes.flat, strict=True))

for record in train(
    backend, network, initialize(network, seed=0), backend.asarray(X), backend.asarray(np.eye(2)[y]), recipe
):
    if record.epoch in panels:
        panel = panels[record.epoch]
        probability = fprop(backend.xp, network, record.layers, plane).a[-1][:, 1].reshape(across.shape)
        panel.contourf(across, up, probability, levels=20, cmap="RdBu", vmin=0, vmax=1, alpha=0.7)
        panel.contour(across, up, probability, levels=[0.5], colors="black")
        panel.scatter(*X.T, c=y, cmap="RdBu", edgecolors="white", linewidths=0.4, s=14)
        panel.set_title(f"after {record.epoch} epochs" if record.epoch > 1 else "after 1 epoch")
