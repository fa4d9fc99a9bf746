"""Options that several commands take, under one name and with one help text."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "DATA",
    "L1",
    "L2",
    "NETWORK",
    "PLACE",
    "TRAINING",
    "Activation",
    "BackendName",
    "DataDir",
    "Device",
    "Dropout",
    "Hidden",
    "Init",
    "InputDropout",
    "Mode",
    "Run",
    "RunOrModel",
    "Seed",
    "Target",
]

TRAINING, NETWORK, DATA, PLACE = "How to train", "Network", "Data", "Where to compute"

BackendName = Annotated[
    str,
    typer.Option(
        "--backend",
        help="Array library: numpy, cupy, torch, jax, array_api_strict; auto takes CuPy where a GPU is usable.",
        rich_help_panel=PLACE,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="A device of the backend: cpu, cuda:0, mps; see `xpmlp info`.", rich_help_panel=PLACE),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where Fashion-MNIST lies: a folder that holds fashion-mnist/.", rich_help_panel=DATA),
]
Target = Annotated[
    str | None,
    typer.Option(help="The label's column in a .csv file; the last one by default.", rich_help_panel=DATA),
]
Hidden = Annotated[str, typer.Option(help="Units of each hidden layer: 50, or 512,512.", rich_help_panel=NETWORK)]
Activation = Annotated[
    str,
    typer.Option(
        help="identity, relu, leaky_relu, elu, tanh, logistic, softplus, silu or gelu; one for all, or one per layer.",
        rich_help_panel=NETWORK,
    ),
]
Init = Annotated[
    str,
    typer.Option(
        help="Initial weights: he_uniform, he_normal, glorot_uniform, glorot_normal, or the report's: report.",
        rich_help_panel=NETWORK,
    ),
]
Dropout = Annotated[
    str,
    typer.Option(
        help="Share of the hidden units dropped in training; one for all layers, or one for each.",
        rich_help_panel=NETWORK,
    ),
]
InputDropout = Annotated[float, typer.Option(help="Share of the inputs dropped in training.", rich_help_panel=NETWORK)]
L1 = Annotated[str, typer.Option(help="Strength of |W|; one for all layers, or one for each.", rich_help_panel=NETWORK)]
L2 = Annotated[
    str, typer.Option(help="Strength of |W|^2; one for all layers, or one for each.", rich_help_panel=NETWORK)
]
Mode = Annotated[
    str,
    typer.Option(help="matrix: a minibatch at once; loop: row by row, the same gradients.", rich_help_panel=TRAINING),
]
Seed = Annotated[
    int, typer.Option(help="Of the split, the initial weights and the order of examples.", rich_help_panel=TRAINING)
]
Run = Annotated[Path, typer.Argument(help="The folder of a run, as `xpmlp train` made it.", show_default=False)]
RunOrModel = Annotated[
    Path, typer.Argument(help="The folder of a run, or a model.safetensors of one.", metavar="RUN", show_default=False)
]
