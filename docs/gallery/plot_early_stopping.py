"""
When to stop
============

While a network trains, the loss on the training examples falls and falls. The loss on examples that it does not learn
from falls too, and then rises: from there on the network learns its examples by heart. `patience` waits for so many
epochs without a better validation loss, ends the training, and keeps the weights of the best epoch. The data are 442
patients with diabetes, and what became of their disease within a year.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from xpmlp import Options, prepare

X, y = load_diabetes(return_X_y=True)
file = Path(tempfile.mkdtemp()) / "diabetes.npz"
np.savez(file, X=X, y=y)
experiment = prepare(Options(str(file), hidden=(64, 64), epochs=300, validation=0.4, schedule="constant", patience=100))
records = list(experiment.records())
best, last = records[-1].best_epoch, records[-1].epoch
print(f"ended after {last} epochs; the weights of epoch {best} are kept")

epochs = [record.epoch for record in records]
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for part in ("train", "validation"):
    axes.plot(epochs, [record.scores[part].loss for record in records], label=part)
axes.axvline(best, color="gray", ls=":", label=f"best epoch: {best}")
axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
axes.legend()
