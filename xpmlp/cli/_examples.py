"""What each command's help ends with: two command lines to begin with."""

from __future__ import annotations

EXAMPLES = {
    "train": ("xpmlp train iris.csv --out runs/iris", "xpmlp train digits --hidden 256,256 --epochs 50 --patience 5"),
    "evaluate": ("xpmlp evaluate runs/iris", "xpmlp evaluate runs/iris other.csv --out other.png"),
    "predict": ("xpmlp predict runs/iris new.csv", "xpmlp predict runs/iris new.csv --proba --out predictions.csv"),
    "show": ("xpmlp show runs/iris", "xpmlp show runs/iris --json"),
    "runs": ("xpmlp runs", "xpmlp runs experiments --sort score"),
    "compare": ("xpmlp compare runs/iris runs/wider", "xpmlp compare runs/iris runs/wider --out wider.png"),
    "search": ("xpmlp search iris.csv --random 20", "xpmlp search digits --grid grid.toml --halving"),
    "export": ("xpmlp export runs/iris iris.onnx", "xpmlp export runs/iris step.onnx --what step"),
    "gradcheck": ("xpmlp gradcheck", "xpmlp gradcheck --hidden 5,4 --activation tanh --out tanh.png"),
    "info": ("xpmlp info", "xpmlp train digits --backend auto"),
}


def examples_of(command: str) -> str:
    """Return the lines on a command, as typer takes what help ends with: lines are paragraphs there."""
    return "\n\n".join(["Examples:", *EXAMPLES[command]])
