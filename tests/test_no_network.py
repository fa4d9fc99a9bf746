"""No command opens a port or speaks to anybody: sockets raise, and everything but a download works."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

# Every event of Python's sockets ends the process at once: no `except` of a library can hide it.
WITHOUT_SOCKETS = """
import os, sys
def refuse(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.client.", "ftplib.", "smtplib.")):
        os.write(2, f"refused: {event} {arguments}".encode())
        os._exit(99)
sys.addaudithook(refuse)
"""
COMMANDS = """
import sys
from xpmlp.cli import main
for line in sys.argv[1:]:
    sys.argv[1:] = line.split()
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{line}: {ended.code}")
"""
ESTIMATOR = """
from sklearn.datasets import load_digits
from xpmlp import MLPClassifier
X, y = load_digits(return_X_y=True)
MLPClassifier((4,), max_iter=2, early_stopping=True).fit(X, y).predict(X)
"""


def python(folder, code, *arguments):
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", WITHOUT_SOCKETS + code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_work_without_sockets(tmp_path):
    np.savez(tmp_path / "examples.npz", X=np.zeros((2, 64)))
    done = python(
        tmp_path,
        COMMANDS,
        "train digits --epochs 2 --hidden 4 --out run",
        "evaluate run",
        "predict run examples.npz",
        "show run",
        "export run model.npz",
        "export run model.onnx",
        "export run model.skops",
        "gradcheck",
        "info",
    )
    assert done.returncode == 0, done.stderr
    names = {"run", "examples.npz", "model.npz", "model.onnx", "model.skops", "gradcheck.png"}
    assert {file.name for file in tmp_path.iterdir()} == names


def test_estimators_work_without_sockets(tmp_path):
    done = python(tmp_path, ESTIMATOR)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "code", ["import socket; socket.socket()", "import urllib.request as r; r.urlopen('http://a')"]
)
def test_the_test_would_see_a_socket(tmp_path, code):
    done = python(tmp_path, code)
    assert done.returncode == 99
    assert done.stderr.startswith("refused: ")
