"""
The same model in another program
=================================

`export_model` writes a trained model as an ONNX graph, with the scaling of its features inside. Here onnxruntime runs
it: a program that knows nothing of xpmlp, and runs on telephones and in browsers too.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime

from xpmlp import Options, export_model, prepare

experiment = prepare(Options("digits", hidden=(64,), epochs=15))
*_, last = experiment.records()
model = experiment.trained(last.layers)
file = Path(tempfile.mkdtemp()) / "digits.onnx"
export_model(model, file)
print(f"{file.name}: {file.stat().st_size:,} bytes")

# %%
# The first input of the graph takes raw pixels. Its outputs have names.

session = onnxruntime.InferenceSession(file)
print([(node.name, node.shape) for node in session.get_inputs() + session.get_outputs()])

X = experiment.dataset.X[:12]
outputs = session.run(None, {session.get_inputs()[0].name: X.astype("float32")})
probabilities = next(output for output in outputs if output.shape == (12, 10))
print("largest difference:", np.abs(probabilities - model.predict_proba(X)).max())

# %%
# Twelve digits, as onnxruntime reads them.

figure, axes = plt.subplots(3, 8, figsize=(10, 4.2), layout="constrained", width_ratios=[1, 1.4] * 4)
for image, probability, panel, bars in zip(X, probabilities, axes[:, ::2].flat, axes[:, 1::2].flat, strict=True):
    panel.imshow(image.reshape(8, 8), cmap="gray_r")
    panel.axis("off")
    bars.bar(range(10), probability)
    bars.set(xticks=range(10), yticks=[], ylim=(0, 1))
    bars.tick_params(labelsize=6)
