"""
What an ensemble does not know
==============================

With the Gaussian loss a network learns a mean and a standard deviation: how noisy the targets are there. It cannot say
where it has seen nothing. The members of an ensemble can, together: where there are no data, they disagree. Here the
noise grows from left to right, and there is a gap in the middle. (Disagreement is a warning and no cure: no network
finds the wave in the gap.)
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from xpmlp import DeepEnsembleRegressor

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is ours to choose

rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(-4, -1, 150), rng.uniform(2, 4, 100)])
y = np.sin(2 * x) + (0.05 + 0.06 * (x + 4)) * rng.normal(size=x.size)
ensemble = DeepEnsembleRegressor(
    hidden_layer_sizes=(64, 64), n_estimators=8, loss="gaussian", learning_rate_init=0.003, batch_size=50, max_iter=150,
    n_iter_no_change=150, random_state=0,
).fit(x[:, None], y)  # fmt: skip

# %%
# `variance` takes the doubt apart: what the members expect of the noise, and what they disagree on.

at = np.linspace(-5, 5, 300)[:, None]
mean = ensemble.predict(at)
_, noise, disagreement = ensemble.variance(at)

figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5.5), sharex=True, height_ratios=[2, 1], layout="constrained")
above.fill_between(at.ravel(), mean - 2 * ensemble.predict_std(at), mean + 2 * ensemble.predict_std(at), alpha=0.25)
for member in ensemble.estimators_:
    above.plot(at, member.predict(at), color="tab:blue", lw=0.5)
above.plot(at, np.sin(2 * at), "k:", label="truth")
above.scatter(x, y, s=8, color="black", alpha=0.5)
above.set(ylim=(-3, 3), title="Eight networks, their mean, and two standard deviations around it")
above.legend()
below.semilogy(at, np.sqrt(noise), label="noise that they expect")
below.semilogy(at, np.sqrt(disagreement), label="disagreement")
below.set(ylabel="standard deviation", ylim=(1e-2, 3))
below.legend()
