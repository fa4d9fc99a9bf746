"""Train on hosts of a network, made on this machine: a network namespace of Linux for each rank, and a bridge.

    python scripts/distributed_hosts.py --hosts 3

Each rank has a host name, a network interface and an address of its own, and reaches the others by TCP alone. The run
is compared with one of a single process, and the bytes that left each host with those of the gradients. All of it is
made in namespaces of this script's own, and is gone with it: the machine's network is not touched. It needs Linux, the
commands `unshare` and `ip`, the right to make namespaces (root has it), and MPICH's mpiexec.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from commands import run_script
from xpmlp import XpmlpError, load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

NETWORK = "10.77.0"
CARD = "eth0"  # of every host, and the bridge's name: mpiexec takes one name for all
RUN = ("train", "digits", "--epochs", "10", "--dtype", "float64", "--quiet")
STEPS = 10 * 21  # of 1,294 examples in minibatches of 64
SECONDS = 300
AGREEMENT = 1e-10

# What mpiexec calls in place of ssh, with options, an address and a command.
LAUNCHER = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
address=$1
shift
exec ip netns exec "$address" unshare --uts sh -c "hostname host-${address##*.}; $*"
"""


class HostError(XpmlpError):
    """Hosts that cannot be made here."""


def main(
    hosts: Annotated[int, typer.Option(help="How many, with a rank each.", min=2, max=200)] = 2,
    *,
    inside: Annotated[bool, typer.Option("--inside", hidden=True)] = False,
) -> None:
    """Make hosts, train on them, and compare."""
    if not inside:
        again = [*namespaces(), sys.executable, __file__, *sys.argv[1:], "--inside"]
        sys.exit(subprocess.run(again, check=False).returncode)  # noqa: S603 - this script
    mpiexec = hydra()
    addresses = connect(hosts)
    with tempfile.TemporaryDirectory() as folder:
        train_on(addresses, mpiexec, Path(folder))
        report(addresses, Path(folder))


def namespaces() -> list[str]:
    """Return the command that runs another one in namespaces of its own, or say why there are none."""
    lacking = [command for command in ("unshare", "ip") if shutil.which(command) is None]
    if sys.platform != "linux" or lacking:
        raise HostError(f"this system has no network namespaces to make hosts of, or lacks {' and '.join(lacking)}.")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *user, "--net", "--mount", "--uts", "--"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)  # noqa: S603 - as above
    if tried.returncode:
        raise HostError(f"this machine makes no hosts: {tried.stderr.strip()}")
    return command


def hydra() -> str:
    """Find MPICH's mpiexec: others start ranks on hosts in other ways."""
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None or "HYDRA" not in call(mpiexec, "--version"):
        raise HostError("there is no mpiexec of MPICH here: pip install mpich")
    return mpiexec


def connect(hosts: int) -> list[str]:
    """Make a bridge, and hosts that hang on it; return their addresses."""
    call("mount", "-t", "tmpfs", "tmpfs", "/run")  # where `ip` keeps the names of namespaces
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", CARD, "type", "bridge")
    call("ip", "address", "add", f"{NETWORK}.254/24", "dev", CARD)
    call("ip", "link", "set", CARD, "up")
    addresses = [f"{NETWORK}.{number}" for number in range(1, hosts + 1)]
    for address in addresses:
        port = f"port{address.rpartition('.')[2]}"
        call("ip", "netns", "add", address)
        call("ip", "link", "add", port, "type", "veth", "peer", "name", CARD, "netns", address)
        call("ip", "link", "set", port, "master", CARD, "up")
        call("ip", "-n", address, "address", "add", f"{address}/24", "dev", CARD)
        for name in ("lo", CARD):
            call("ip", "-n", address, "link", "set", name, "up")
    return addresses


def train_on(addresses: Sequence[str], mpiexec: str, folder: Path) -> None:
    """Train with a rank on each host, and by one process."""
    launcher = folder / "launcher"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o700)
    # UCX, which carries MPICH's messages, would find the other ranks in this machine's memory: it is held to TCP.
    os.environ |= {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": CARD, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    xpmlp = [sys.executable, "-m", "xpmlp", *RUN]
    by_hydra = ["-launcher", "ssh", "-launcher-exec", str(launcher), "-iface", CARD, "-hosts", ",".join(addresses)]
    call(mpiexec, *by_hydra, "-n", str(len(addresses)), *xpmlp, "--distributed", "--out", str(folder / "hosts"))
    call(*xpmlp, "--out", str(folder / "alone"))


def report(addresses: Sequence[str], folder: Path) -> None:
    """Print what left each host, and how far the two runs ended apart."""
    one, other = (
        [p for layer in load_model(folder / run / "model.safetensors").layers for p in layer]
        for run in ("hosts", "alone")
    )
    gradients = STEPS * 8 * (sum(p.size for p in one) + 1)
    for address in addresses:
        sent = int(call("ip", "netns", "exec", address, "cat", f"/sys/class/net/{CARD}/statistics/tx_bytes"))
        print(f"{address} sent {sent / 1e6:.1f} MB; one rank's gradients are {gradients / 1e6:.1f} MB in {STEPS} steps")
    apart = max(float(np.max(np.abs(p - q))) for p, q in zip(one, other, strict=True))
    print(f"{len(addresses)} hosts and one process end with weights that are {apart:.1e} apart")
    if apart > AGREEMENT:
        raise HostError(f"they must not be further apart than {AGREEMENT:g}.")


def call(*command: str) -> str:
    """Run a command; return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603 - our own commands
    if done.returncode:
        raise HostError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


if __name__ == "__main__":
    run_script(main)
