"""
What a narrow layer makes of digits
===================================

A network with a hidden layer of two units must say what a digit is with two numbers. `transform` gives the outputs of a
hidden layer, so that we can look at the map that it has drawn: a place for each class, with the images that it confuses
in between.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from xpmlp import MLPClassifier

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is ours to choose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.4, stratify=y, random_state=0)
model = MLPClassifier(
    (64, 2), activation=["relu", "identity"], learning_rate_init=3e-3, max_iter=150, l2=1e-4, random_state=0
).fit(X_train, y_train)
places = model.transform(X_test)
print(model.summary())

figure, axes = plt.subplots(figsize=(7, 5.5), layout="constrained")
drawn = axes.scatter(*places.T, c=y_test, cmap="tab10", s=14)
axes.legend(*drawn.legend_elements(), title="digit")
axes.set(xlabel="first unit", ylabel="second unit")
axes.set_title(f"Images that were not learnt: {model.score(X_test, y_test):.0%} are read right")
