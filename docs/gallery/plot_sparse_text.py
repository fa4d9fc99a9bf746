"""
Texts as sparse features
========================

From which library does a sentence come? The sentences are those of the documentation of NumPy, SciPy and scikit-learn
that is installed here. Each becomes a row of some thousand word counts, nearly all of them 0: a sparse matrix, which
the estimator takes as it is.
"""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import scipy.special
import scipy.stats
import sklearn.utils.discovery
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from xpmlp import MLPClassifier

libraries = {
    "NumPy": vars(np).values(),
    "SciPy": [*vars(scipy.stats).values(), *vars(scipy.special).values()],
    "scikit-learn": [each for _, each in sklearn.utils.discovery.all_estimators()],
}
sentences, origins = [], []
for library, objects in libraries.items():
    for text in {inspect.getdoc(each) or "" for each in objects}:
        found = [line.strip() for line in text.split(". ") if 60 < len(line) < 300]
        sentences += found
        origins += [library] * len(found)
print(f"{len(sentences):,} sentences, such as {sentences[100]!r}")

# %%
# Rare words are left out, and so are the names of the libraries themselves.

train, test, y_train, y_test = train_test_split(sentences, origins, test_size=0.3, stratify=origins, random_state=0)
words = TfidfVectorizer(min_df=3, stop_words=["numpy", "np", "scipy", "sklearn", "scikit", "learn"], sublinear_tf=True)
network = MLPClassifier((16,), early_stopping=True, stratify_validation=True, n_iter_no_change=3, random_state=0)
model = make_pipeline(words, network).fit(train, y_train)
X_test = words.transform(test)
print(f"{X_test.shape[1]:,} words, of which a sentence has {X_test.nnz / X_test.shape[0]:.0f}")

figure, axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(y_test, model.predict(test), normalize="true", cmap="Blues", ax=axes)
axes.set_title(f"{model.score(test, y_test):.0%} of {len(test):,} new sentences are placed right")
