"""
Finding wrong labels
====================

We give forty digits a wrong label and train on all. An example whose label is wrong pulls at the weights harder than
the others: the gradient of its loss is long. `sample_gradient_norms` measures that for every example in one pass, and
sorting by it brings most of the wrong labels to the top of the pile that a person has to look through.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from xpmlp import MLPClassifier

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is ours to choose

X, truth = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
wrong = rng.choice(len(X), size=40, replace=False)
labels = truth.copy()
labels[wrong] = (truth[wrong] + rng.integers(1, 10, size=40)) % 10

model = MLPClassifier((64,), l2=2e-3, max_iter=60, n_iter_no_change=60, random_state=0).fit(X / 16, labels)
norms = model.sample_gradient_norms(X / 16, labels)
order = np.argsort(-norms)
found = np.cumsum(np.isin(order, wrong))
print(f"of the first 40 images, {found[39]} have a wrong label; of the first 80, {found[79]} of all 40")

# %%
# The first twenty-four. A red label is one that we had made wrong.

figure, axes = plt.subplots(3, 8, figsize=(9, 4), layout="constrained")
for number, panel in zip(order[:24], axes.flat, strict=True):
    panel.imshow(X[number].reshape(8, 8), cmap="gray_r")
    panel.set_title(f"“{labels[number]}”", color="red" if number in wrong else "black")
    panel.axis("off")

# %%
# How many images must be looked at to find how many of the wrong labels?

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.plot(np.arange(1, len(X) + 1), found, label="by the length of the gradient")
axes.plot([0, len(X)], [0, 40], color="gray", ls=":", label="in any order")
axes.set(xlim=(0, 400), xlabel="images looked at", ylabel="wrong labels found")
axes.legend()
