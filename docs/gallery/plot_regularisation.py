"""
How much should the weights be held back?
=========================================

A large network can learn a small training set by heart, noise and all. The penalty `alpha` on the squared weights holds
it back: with too little the boundary winds round every point, with too much it is straight. In between it is smooth.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from xpmlp import MLPClassifier

X, y = make_moons(120, noise=0.35, random_state=1)
X_new, y_new = make_moons(2_000, noise=0.35, random_state=2)
across, up = np.meshgrid(np.linspace(-2.2, 3.2, 150), np.linspace(-1.8, 2.2, 150))
plane = np.column_stack([across.ravel(), up.ravel()])

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), sharey=True, layout="constrained")
for alpha, panel in zip((1e-5, 0.1, 1.0, 5.0), axes, strict=True):
    model = MLPClassifier((50, 50), alpha=alpha, solver="lbfgs", max_iter=2_000, random_state=0).fit(X, y)
    panel.contourf(across, up, model.predict_proba(plane)[:, 1].reshape(across.shape), 20, cmap="RdBu", vmin=0, vmax=1)
    panel.scatter(*X.T, c=y, cmap="RdBu", edgecolors="white", s=18)
    panel.set(xticks=[], yticks=[], title=f"alpha = {alpha:g}")
    panel.set_xlabel(f"training {model.score(X, y):.2f}, new points {model.score(X_new, y_new):.2f}")
