"""
A learning rate for each network of a stack
===========================================

Which learning rate is good? Thirty networks of one shape try thirty rates, all in the same steps: `train_many` puts
them into stacks, in which the learning rate is an array with an entry for each network.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from xpmlp import SGD, Constant, Member, Network, Recipe, get_backend, initialize, train_many

X, y = load_digits(return_X_y=True)
backend = get_backend("numpy")
X_train, X_test, T_train, T_test = (
    backend.asarray(part) for part in train_test_split(X / 16, np.eye(10)[y], stratify=y, random_state=0)
)
network = Network.build(64, 32, 10)
rates = np.logspace(-4, 1, 30)
members = [
    Member(network, initialize(network, seed=0), Recipe(SGD(0.9), Constant(float(rate)), batch_size=64, epochs=15))
    for rate in rates
]
parts = {"train": (X_train, T_train), "test": (X_test, T_test)}
*_, last = train_many(backend, members, X_train, T_train, evaluate=parts)

# %%
# Each of the thirty has a record of its own after each epoch, as if it had been trained alone.

figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
for part in parts:
    axes.loglog(rates, [record.scores[part].loss for record in last], "o-", label=part)
axes.set(xlabel="learning rate", ylabel="loss after 15 epochs")
axes.set_title("Too small learns nothing yet, too large never will")
axes.legend()
