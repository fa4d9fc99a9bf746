"""
A grid of options as a heat map
===============================

Which learning rate goes with which penalty? `StackedGridSearchCV` is scikit-learn's grid search with one difference:
networks of one shape are trained together, so that the 80 trainings of this picture are steps of one stack.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from xpmlp import MLPClassifier, StackedGridSearchCV

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is ours to choose

X, y = load_wine(return_X_y=True)
X = StandardScaler().fit_transform(X)
rates = [0.0003, 0.001, 0.003, 0.01, 0.03]
penalties = [0.001, 0.1, 10.0, 100.0]
network = MLPClassifier((16,), batch_size=16, max_iter=20, random_state=0)
search = StackedGridSearchCV(
    network, {"learning_rate_init": rates, "alpha": penalties}, cv=4, scoring="neg_log_loss"
).fit(X, y)
print(search.best_params_)

# %%
# A loss of ln 3 = 1.10 is that of guessing.

losses = -search.cv_results_["mean_test_score"].reshape(len(penalties), len(rates))
figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
image = axes.imshow(losses, cmap="viridis_r", aspect="auto")
for (row, column), loss in np.ndenumerate(losses):
    axes.text(column, row, f"{loss:.2f}", ha="center", va="center", color="white" if loss > 0.5 else "black")
axes.set(xticks=range(len(rates)), xticklabels=rates, yticks=range(len(penalties)), yticklabels=penalties)
axes.set(xlabel="learning_rate_init", ylabel="alpha", title="Cross-validated log-loss on the wines, after 20 epochs")
figure.colorbar(image)
