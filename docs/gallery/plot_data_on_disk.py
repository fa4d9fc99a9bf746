"""
Data that stay on disk
======================

A folder with `X.npy` and `y.npy` is read while the network trains on what was read before: what is in memory does not
grow with the data. Here the folder is filled part by part, as it would be from a large file, and the network learns the
area of a triangle from its three corners.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.format import open_memmap

from xpmlp import Options, prepare

folder = Path(tempfile.mkdtemp())
n, part = 100_000, 10_000
X = open_memmap(folder / "X.npy", mode="w+", dtype="float32", shape=(n, 6))
y = open_memmap(folder / "y.npy", mode="w+", dtype="float32", shape=(n,))
rng = np.random.default_rng(0)
for start in range(0, n, part):
    corners = rng.uniform(-1, 1, size=(part, 3, 2))
    sides = corners[:, 1:] - corners[:, :1]
    X[start : start + part] = corners.reshape(part, 6)
    y[start : start + part] = np.abs(np.linalg.det(sides)) / 2
X.flush()
y.flush()

# %%
# From here on it is a run like any other. `xpmlp train FOLDER --task regression` does the same.

experiment = prepare(Options(str(folder), task="regression", hidden=(64, 64), epochs=6, batch_size=256))
records = list(experiment.records())
model = experiment.trained(records[-1].layers)

corners = rng.uniform(-1, 1, size=(3_000, 3, 2))
area = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 2
guess = model.predict(corners.reshape(-1, 6))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot([record.epoch for record in records], [record.scores["test"].rmse for record in records], "o-")
left.set(xlabel="passes over the file", ylabel="root mean squared error, test part", yscale="log")
right.scatter(area, guess, s=3, alpha=0.4)
right.axline((0, 0), slope=1, color="black", lw=0.8, ls=":")
right.set(xlabel="area of the triangle", ylabel="area that is predicted", title="3,000 new triangles")
