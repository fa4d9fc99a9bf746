"""
Four ways downhill
==================

The update rules are plain functions of parameters and gradients, so that they can be let loose on any surface. This one
is a valley that is a hundred times steeper across than along. Plain descent swings from side to side, momentum carries
it along, and Adam measures each direction by itself.
"""

import matplotlib.pyplot as plt
import numpy as np

from xpmlp import SGD, Adam, get_backend

backend = get_backend("numpy", dtype="float64")
xp = backend.xp
steepness = np.array([1.0, 100.0])
start = np.array([-4.0, 1.5])

rules = {
    "SGD": (SGD(), 0.018),
    "SGD, momentum 0.9": (SGD(momentum=0.9), 0.006),
    "SGD, Nesterov": (SGD(momentum=0.9, nesterov=True), 0.006),
    "Adam": (Adam(), 0.3),
}
across, along = np.meshgrid(np.linspace(-4.5, 1.5, 200), np.linspace(-2, 2, 200))
figure, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
for (name, (rule, rate)), panel in zip(rules.items(), axes.flat, strict=True):
    parameters, state, path = [start.copy()], None, [start]
    state = rule.init(xp, parameters)
    for step in range(1, 61):
        gradients = [steepness * parameters[0]]
        parameters, state = rule.update(xp, parameters, gradients, state, rate, backend.asarray(float(step)))
        path.append(np.array(parameters[0]))
    panel.contour(
        across, along, across**2 / 2 + 50 * along**2, np.logspace(-1, 2.3, 12), colors="silver", linewidths=0.7
    )
    panel.plot(*np.transpose(path), "o-", ms=3, lw=1)
    panel.plot(0, 0, "*", color="tab:red", ms=10)
    panel.set_title(f"{name}: {np.linalg.norm(path[-1]):.2g} away after 60 steps", fontsize="medium")
