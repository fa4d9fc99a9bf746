"""What is measured, and the files that the contenders read it from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from peers.task import Workload
from reproduction.fashion import FINAL
from xpmlp import Network, initialize, load_dataset
from xpmlp.common.rng import make_generator

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["GPU_WORKLOADS", "GROWTH_CONTENDERS", "WORKLOADS", "growth_of", "shortened", "write_data", "write_start"]

SEED = 0
TESTS = 10_000  # test images
QUICK_IMAGES, QUICK_CALLS = 512, 20

_SMALL = Workload(
    "small",
    hidden=FINAL.hidden,
    learning_rate=FINAL.highest_rate,
    l2=FINAL.l2[0],
    batch_size=FINAL.batch_size,
    epochs=3,
    rounds=4,
)
# Low rates: at higher ones the loss depends on the order of the images, and with Adam on rounding.
_WIDE = Workload("wide-sgd", hidden=(512, 512), learning_rate=0.01, rounds=3)
WORKLOADS = {
    workload.name: workload
    for workload in (
        _SMALL,
        _WIDE,
        replace(_WIDE, name="wide-adam", optimizer="adam", learning_rate=0.0001),
        replace(_SMALL, name="tiny", batch_size=16, epochs=1, rounds=3),
        replace(_SMALL, name="fit", epochs=10, rounds=6, only=("xpmlp-numpy", "xpmlp-float32", "xpmlp-estimator")),
        replace(_SMALL, name="predict", rows=TESTS, calls=30, rounds=4),
        replace(_SMALL, name="predict-one", rows=1, calls=3000),
    )
}
GPU_WORKLOADS = {
    workload.name: workload
    for workload in (
        replace(_SMALL, epochs=20, rounds=1, device="cuda"),
        Workload("wide", hidden=(2048, 2048), learning_rate=0.01, batch_size=4096, epochs=3, device="cuda"),
    )
}
GROWTH_CONTENDERS = ("xpmlp-numpy", "scikit-learn", "torch-eager")
GROWTH_IMAGES = (7_500, 15_000, 30_000, 60_000)
GROWTH_HIDDEN = (16, 32, 64, 128, 256, 512, 1024, 2048)


def shortened(workload: Workload) -> Workload:
    """Return the same with few images and one epoch."""
    rows, calls = min(workload.rows, QUICK_IMAGES), min(workload.calls, QUICK_CALLS)
    return replace(workload, images=QUICK_IMAGES, epochs=1, rounds=1, rows=rows, calls=calls)


def growth_of(axis: str, *, few: bool) -> list[tuple[int, Workload]]:
    """Return the small workload for one epoch at growing numbers of "images", or of "hidden" units of 15,000 images."""
    if axis == "images":
        sizes = (QUICK_IMAGES // 2, QUICK_IMAGES) if few else GROWTH_IMAGES
        return [(n, replace(_SMALL, name=f"growth-images-{n}", images=n, epochs=1)) for n in sizes]
    sizes, images = (GROWTH_HIDDEN[:2], QUICK_IMAGES) if few else (GROWTH_HIDDEN, GROWTH_IMAGES[1])
    of_hidden = replace(_SMALL, images=images, epochs=1)
    return [(units, replace(of_hidden, name=f"growth-hidden-{units}", hidden=(units,))) for units in sizes]


def write_data(folder: Path, data_dir: str | None, images: int) -> None:
    """Write the first images of Fashion-MNIST as arrays: 8-bit pixels, and labels."""
    dataset = load_dataset("fashion-mnist", data_dir=data_dir, progress=True)
    if dataset.test is None:
        raise AssertionError("Fashion-MNIST comes with test images")
    for suffix, (X, y) in (("", (dataset.X, dataset.y)), ("_test", dataset.test)):
        np.save(folder / f"pixels{suffix}.npy", X[:images])
        np.save(folder / f"y{suffix}.npy", y[:images].astype(np.int64))


def write_start(folder: Path, workload: Workload) -> None:
    """Write the initial weights of a workload, and the order of the images in each of its epochs."""
    network = Network.build(28 * 28, workload.hidden, 10)
    layers = initialize(network, init=FINAL.init, seed=SEED)
    rng = make_generator(SEED, "order")
    orders = np.stack([rng.permutation(workload.images) for _ in range(workload.epochs)])
    np.savez(folder / f"{workload.name}.npz", *(p.astype(np.float32) for pair in layers for p in pair), orders=orders)
