"""
The project in one picture
==========================

Six lines of calculus, forward in blue and backward in orange, train every network on the right, and all of them at
once: three networks with learning rates of their own are one stack, whose weights are arrays with one axis more. The
README begins with this picture.
"""

import matplotlib.pyplot as plt
import numpy as np

from xpmlp import Adam, Constant, Member, Network, Recipe, fprop, get_backend, initialize, train_many

rng = np.random.default_rng(0)
y = np.arange(300) % 2
radius = rng.uniform(0.05, 1, size=300) ** 0.5
angle = np.pi * (3.4 * radius + y)
X = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(scale=0.02, size=(300, 2))

backend = get_backend("numpy")
network = Network.build(2, [64, 64], 2, activation="relu")
rates = [0.001, 0.003, 0.01]
members = [
    Member(network, initialize(network, seed=4), Recipe(Adam(), Constant(rate), batch_size=20, epochs=81))
    for rate in rates
]
arrays = backend.asarray(X), backend.asarray(np.eye(2)[y])

# %%
# Of the record of each epoch there is one for each network. We keep what the weights of five epochs say of the plane.

across, up = np.meshgrid(np.linspace(-1.1, 1.1, 90), np.linspace(-1.1, 1.1, 90))
plane = backend.asarray(np.column_stack([across.ravel(), up.ravel()]))
epochs = [1, 3, 9, 27, 81]
panels = {}
for records in train_many(backend, members, *arrays):
    if records[0].epoch in epochs:
        for rate, record in zip(rates, records, strict=True):
            probability = fprop(backend.xp, network, record.layers, plane).a[-1][:, 1]
            panels[rate, record.epoch] = probability.reshape(across.shape)

# %%
# Equations on the left, networks on the right.

FORWARD = [r"$a_0 = x$", r"$z_l = a_{l-1} W_l + b_l$", r"$a_l = f(z_l)$"]
BACKWARD = [
    r"$\delta_L = \mathrm{softmax}(z_L) - t$",
    r"$\delta_l = \delta_{l+1} W_{l+1}^\top \odot f'(z_l)$",
    r"$dW_l = a_{l-1}^\top \delta_l, \;\; db_l = \sum \delta_l$",
]


def draw(ink="black"):
    """Draw it, with words and equations in a colour that suits what is behind them."""
    figure = plt.figure(figsize=(10, 3.6))
    for top, title, colour, lines in (
        (0.98, "forward", "#3b8fd4", FORWARD),
        (0.52, "backward, derived by hand", "#e07b1a", BACKWARD),
    ):
        figure.text(0.005, top, title, color=colour, size=13, weight="bold", va="top")
        for number, line in enumerate(lines, start=1):
            figure.text(0.02, top - 0.11 * number, line, color=ink, size=15, va="top")
    figure.text(0.005, 0.02, "NumPy · CuPy · PyTorch · JAX · MLX", color=ink, size=11)

    title = "three networks, trained at once by these lines"
    figure.text(0.69, 0.98, title, color=ink, size=13, weight="bold", ha="center", va="top")
    sides = {"left": 0.39, "right": 0.995, "bottom": 0.02, "top": 0.84}
    grid = figure.add_gridspec(len(rates), len(epochs), **sides, wspace=0.05, hspace=0.05)
    for (rate, epoch), place in zip([(rate, epoch) for rate in rates for epoch in epochs], grid, strict=True):
        axes = figure.add_subplot(place, xticks=[], yticks=[], frame_on=False)
        axes.contourf(across, up, panels[rate, epoch], levels=np.linspace(0, 1, 9), cmap="RdBu")
        axes.scatter(*X.T, c=y, cmap="RdBu", edgecolors="white", linewidths=0.3, s=5)
        if place.is_first_row():
            axes.set_title(f"epoch {epoch}", color=ink, size=11)
        if place.is_first_col():
            axes.set_ylabel(f"rate {rate}", color=ink, size=11)
    return figure


figure = draw()
