"""
What the first layer looks at
=============================

Each hidden unit weighs the pixels of an image, so that its weights are an image themselves: red where a bright pixel
excites the unit, blue where it calms it. The data are Fashion-MNIST where `$XPMLP_DATA` names a folder that has it, and
otherwise the small digits of scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np

from xpmlp import InputError, Options, prepare

common = {"hidden": (32,), "l2": (1e-3,), "activation": ("tanh",)}
try:
    experiment = prepare(Options("fashion-mnist", epochs=3, batch_size=256, **common))
except InputError:
    experiment = prepare(Options("digits", epochs=40, **common))
*_, last = experiment.records()
print(f"{experiment.dataset.name}: test accuracy {last.scores['test'].accuracy:.3f}")

# %%
# The units in the order of the size of their weights.

weights = np.asarray(last.layers[0].W)
side = int(weights.shape[0] ** 0.5)
order = np.argsort(-np.linalg.norm(weights, axis=0))
limit = np.abs(weights).max() * 0.7
figure, axes = plt.subplots(4, 8, figsize=(9, 4.6), layout="constrained")
for unit, panel in zip(order, axes.flat, strict=True):
    panel.imshow(weights[:, unit].reshape(side, side), cmap="RdBu_r", vmin=-limit, vmax=limit)
    panel.axis("off")
