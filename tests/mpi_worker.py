"""What a rank of tests/test_distributed.py does: train in several ways, and compare each with a training of its own.

The first rank prints how far apart their weights, losses and scores end, and whether all ranks have the same bits.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

from xpmlp import SGD, Adam, AdamW, Constant, Cosine, ElasticNet, Layer, Network, Recipe, get_backend, initialize, train
from xpmlp.distributed import open_communicator

PENALTY = ElasticNet((1e-3, 0.0, 0.0), (1e-2, 1e-3, 0.0))
RECIPES = {
    "sgd": Recipe(SGD(), Constant(0.1), batch_size=32, epochs=3),
    "nesterov with penalties": Recipe(SGD(0.9, nesterov=True), Cosine(0.05, total=12), PENALTY, batch_size=7, epochs=3),
    "adam": Recipe(Adam(), Cosine(0.01, total=12), batch_size=25, epochs=3),
    "adamw in a loop": Recipe(AdamW(weight_decay=0.1), Constant(0.01), PENALTY, mode="loop", batch_size=7, epochs=2),
    "a step an example": Recipe(SGD(), Constant(0.01), batch_size=1, epochs=1),
}
N = 99  # in minibatches of 7, the last has one row


def main():
    ranks = open_communicator()
    backend = get_backend("numpy", dtype="float64")
    network = Network.build(6, [10, 9], 3, activation="tanh", dropout=0.2, input_dropout=0.1)
    rng = np.random.default_rng(0)
    X, T = rng.normal(size=(N, 6)), np.eye(3)[rng.integers(3, size=N)]
    sets = {"all": (X, T), "two": (X[:2], T[:2])}
    apart, same = {}, {}
    one = initialize(network)
    three = [Layer(*(np.stack([p, 0.9 * p, 1.1 * p]) for p in layer)) for layer in one]
    trainings = {name: (one, recipe) for name, recipe in RECIPES.items()} | {"an ensemble": (three, RECIPES["adam"])}
    for name, (layers, recipe) in trainings.items():
        shared, alone = (
            list(train(backend, network, layers, X, T, recipe, evaluate=sets, communicator=communicator))
            for communicator in (ranks, None)
        )
        numbers = [np.concatenate([numbers_of(record) for record in records]) for records in (shared, alone)]
        apart[name] = float(np.max(np.abs(numbers[0] - numbers[1]) / (1.0 + np.abs(numbers[1]))))
        same[name] = len(set(ranks.allgather(hashlib.sha256(numbers[0].tobytes()).hexdigest()))) == 1
    if ranks.rank == 0:
        json.dump({"size": ranks.size, "apart": apart, "same bits": same}, sys.stdout)
    ranks.close()


def numbers_of(record):
    scores = [number for score in record.scores.values() for number in (score.loss, score.accuracy)]
    return np.concatenate([[record.loss, *scores], *(np.ravel(p) for layer in record.layers for p in layer)])


main()
