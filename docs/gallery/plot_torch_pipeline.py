"""
A torch tensor through a pipeline
=================================

With scikit-learn's `array_api_dispatch`, a scaler and a network compute in the library of the array that they are
given, on its device: here they are tensors of PyTorch, from the first to the last line. Where PyTorch is not installed,
the same lines run on NumPy's arrays, and say so.
"""

import importlib.util
import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported: scikit-learn asks for it

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.datasets import make_circles
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpmlp import MLPClassifier

if importlib.util.find_spec("torch") is None:
    print("PyTorch is not installed here, so these are arrays of NumPy: pip install 'xpmlp[torch]'.")
    xp = np
else:
    import torch as xp

device = "cuda" if xp.__name__ == "torch" and xp.cuda.is_available() else "cpu"
X, y = make_circles(400, noise=0.1, factor=0.5, random_state=0)
points, labels = xp.asarray(X, dtype=xp.float32, device=device), xp.asarray(y, device=device)

# %%
# The pipeline is fitted where its points are, and so are its weights and its answers.

across, up = np.meshgrid(np.linspace(-1.5, 1.5, 200), np.linspace(-1.5, 1.5, 200))
plane = xp.asarray(np.column_stack([across.ravel(), up.ravel()]), dtype=xp.float32, device=device)
with sklearn.config_context(array_api_dispatch=True):
    network = MLPClassifier((32, 32), learning_rate_init=0.01, max_iter=100, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(points, labels)
    probability = model.predict_proba(plane)[:, 1]
print(type(probability), "on", probability.device, "and weights in", type(network.coefs_[0]))

# %%
# Only the picture needs the numbers on the host.

figure, axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
shown = np.asarray(probability.tolist()).reshape(across.shape)
areas = axes.contourf(across, up, shown, levels=20, cmap="RdBu", vmin=0, vmax=1, alpha=0.7)
axes.scatter(*X.T, c=y, cmap="RdBu", edgecolors="white", linewidths=0.4, s=16)
axes.set(aspect="equal", title=f"computed by {xp.__name__} on {device}")
figure.colorbar(areas, label="probability of the inner circle", ticks=[0, 0.5, 1])
