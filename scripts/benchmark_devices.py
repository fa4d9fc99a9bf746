"""Loop against matrix, on every backend and device of this machine, on real Fashion-MNIST.

For minibatches of several sizes it measures examples per second of the forward pass, the backward pass and a whole
training step (gather, both passes, elastic net, update), in both modes, waiting for the device before each reading of
the clock. Steps are those of a short epoch, taken as `xpmlp train` takes them: in matrix form replayed from a tape on
NumPy, and in a graph on a GPU. Measurements are interleaved: each round measures every case once, so that a slow minute
of the machine falls on all of them.

    XPMLP_DATA=... python scripts/benchmark_devices.py --out benchmarks/devices-my-machine.json
    python scripts/benchmark_devices.py --draw benchmarks/devices-my-machine.json --figure devices.png
    python scripts/benchmark_devices.py --page benchmarks/devices-cpu-2-cores.json
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter
from rich.table import Table
from threadpoolctl import threadpool_info

from commands import print_table, run_script
from pages import DOCS, fill
from xpmlp import (
    SGD,
    Constant,
    ElasticNet,
    Layer,
    Network,
    Recipe,
    Scaling,
    __version__,
    bprop,
    encode,
    fprop,
    get_backend,
    initialize,
    load_dataset,
)
from xpmlp.backends import Status, statuses
from xpmlp.common.files import write_whole
from xpmlp.data.examples import Examples
from xpmlp.nn.network import MODES
from xpmlp.plots import save_figure
from xpmlp.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xpmlp.backends import Backend

BATCH_SIZES = (1, 10, 100, 256, 1000)
OPERATIONS = ("fprop", "bprop", "step")
LOOP_ROWS = 100  # rows that a loop is timed on at most; a larger minibatch is extrapolated from these
EPOCH_STEPS = 20  # that are timed together; in a loop, fewer where they have more than LOOP_ROWS rows
HIDDEN = 50


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes
    ----------
    backend, device, dtype : str
        Where.
    mode : {"matrix", "loop"}
        All rows at once, or row by row.
    operation : {"fprop", "bprop", "step"}
        What.
    batch_size : int
        Examples of the minibatch that the figure is for.
    timed_rows : int
        Examples of one timed call: of one minibatch, or of the steps of a short epoch; fewer than `batch_size` where a
        loop was extrapolated.
    """

    backend: str
    device: str
    dtype: str
    mode: str
    operation: str
    batch_size: int
    timed_rows: int

    @property
    def place(self) -> str:
        """The backend and its device."""
        return f"{self.backend} {self.device}"


def cases_of(backend: Backend, X: np.ndarray, T: np.ndarray) -> Iterator[tuple[Case, Callable[[], Any]]]:
    """Give every case of a backend, with the call that does it once and returns what to wait for."""
    network = Network.build(X.shape[1], [HIDDEN], T.shape[1])
    recipe = {mode: Recipe(SGD(), Constant(1e-3), ElasticNet.build(2, l2=1e-3), mode=mode, epochs=1) for mode in MODES}
    examples, targets = backend.asarray(X), backend.asarray(T)
    for mode in MODES:
        for batch_size in BATCH_SIZES:
            rows = min(batch_size, LOOP_ROWS) if mode == "loop" else batch_size
            for operation in OPERATIONS:
                most = EPOCH_STEPS if mode == "matrix" else LOOP_ROWS // rows
                steps = min(EPOCH_STEPS, most) if operation == "step" else 1
                case = Case(backend.name, backend.device_name, backend.dtype, mode, operation, batch_size, steps * rows)
                if operation == "step":
                    yield case, steps_call(backend, network, recipe[mode], examples, targets, case)
                else:
                    yield case, pass_call(backend, network, examples, targets, rows, case)


def steps_call(backend: Backend, network: Network, recipe: Recipe, X: Any, T: Any, case: Case) -> Callable[[], Any]:
    """Return a call that takes the steps of an epoch over `timed_rows` examples, with the weights of the last call."""
    trainer = Trainer(backend, network, replace(recipe, batch_size=min(case.batch_size, case.timed_rows)))
    trainer.start(initialize(network, init="report"))
    order = np.random.default_rng(0).permutation(X.shape[0])[: case.timed_rows]

    def call() -> Any:
        trainer.run_epoch(Examples(X, T), order)
        return trainer.layers, trainer.state

    return call


def pass_call(backend: Backend, network: Network, X: Any, T: Any, rows: int, case: Case) -> Callable[[], Any]:
    """Return a call that does one forward, or one backward pass over `rows` rows, at once or row by row."""
    xp = backend.xp
    layers = [
        Layer(backend.copy_to_device(W), backend.copy_to_device(b)) for W, b in initialize(network, init="report")
    ]
    starts = range(rows) if case.mode == "loop" else [0]
    width = 1 if case.mode == "loop" else rows
    parts = [(X[start : start + width, :], T[start : start + width, :]) for start in starts]

    forward = backend.compile(lambda layers, x: fprop(xp, network, layers, x))
    if case.operation == "fprop":
        return lambda: [forward(layers, x) for x, _ in parts]
    backward = backend.compile(lambda layers, trace, t: bprop(xp, network, layers, trace, t, scale=1.0 / width)[0])
    traces = [forward(layers, x) for x, _ in parts]
    return lambda: [backward(layers, trace, t) for trace, (_, t) in zip(traces, parts, strict=True)]


def seconds_of(backend: Backend, call: Callable[[], Any], least: float) -> float:
    """Time one call: the mean over as many as last `least` seconds, the device waited for at both ends."""
    backend.synchronize(call())
    calls = 0
    start = time.perf_counter()
    while True:
        result = call()
        calls += 1
        if time.perf_counter() - start > least:
            break
    backend.synchronize(result)
    return (time.perf_counter() - start) / calls


def measure(
    backends: Sequence[Backend], X: np.ndarray, T: np.ndarray, rounds: int, least: float
) -> list[dict[str, Any]]:
    """Measure every case of every backend, `rounds` times in turn after one round that only warms up."""
    every = [(backend, case, call) for backend in backends for case, call in cases_of(backend, X, T)]
    seconds: dict[Case, list[float]] = {case: [] for _, case, _ in every}
    for turn in range(rounds + 1):
        for number, (backend, case, call) in enumerate(every):
            if sys.stderr.isatty():
                print(f"\rround {turn}/{rounds}: {number + 1}/{len(every)}  ", end="", file=sys.stderr)
            with backend.computing():
                taken = seconds_of(backend, call, least if turn else 0.0)
            if turn:
                seconds[case].append(taken)
    return [asdict(case) | speeds(case, taken) for case, taken in seconds.items()]


def speeds(case: Case, seconds: list[float]) -> dict[str, Any]:
    """Turn the seconds of each round into examples per second: median, slowest and fastest."""
    rates = sorted(case.timed_rows / taken for taken in seconds)
    return {"examples_per_second": {"median": statistics.median(rates), "slowest": rates[0], "fastest": rates[-1]}}


def machine() -> dict[str, Any]:
    """Describe where the figures were measured."""
    blas = [info for info in threadpool_info() if info["user_api"] == "blas"]
    return {
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "xpmlp": __version__,
        "blas": [{key: info[key] for key in ("internal_api", "version", "num_threads")} for info in blas],
        "backends": [asdict(status) for status in usable()],
    }


def usable() -> list[Status]:
    """List the backends that can be used here and are meant for work."""
    return [status for status in statuses() if not status.problem and status.name != "array_api_strict"]


def processor() -> str:
    """Name the processor, as the system does."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def rate(results: list[dict[str, Any]], **wanted: Any) -> float:
    """Find the median of the one result with these properties."""
    (found,) = (result for result in results if all(result[key] == value for key, value in wanted.items()))
    median: float = found["examples_per_second"]["median"]
    return median


def table_of(report: dict[str, Any]) -> Table:
    """Lay out the matrix's and the loop's speed for every place and size, and their ratio."""
    results = report["results"]
    table = Table(title=f"examples per second, median of {report['rounds']} rounds", title_justify="left")
    for name in ("backend", "K", "operation", "matrix", "loop", "matrix / loop"):
        table.add_column(name, justify="left" if name in {"backend", "operation"} else "right")
    places = dict.fromkeys((result["backend"], result["device"]) for result in results)
    for backend, device in places:
        for size in BATCH_SIZES:
            for operation in OPERATIONS:
                case = {"backend": backend, "device": device, "batch_size": size, "operation": operation}
                matrix, loop = (rate(results, mode=mode, **case) for mode in MODES)
                starred = "*" if size > LOOP_ROWS else ""
                cells = [f"{matrix:,.0f}", f"{loop:,.0f}{starred}", f"{matrix / loop:,.1f}"]
                table.add_row(f"{backend} {device}", str(size), operation, *cells, end_section=operation == "step")
    table.caption = f"* timed on {LOOP_ROWS} examples and extrapolated. The course report had a ratio of 10 at K = 100."
    return table


def page_lines(report: dict[str, Any]) -> list[str]:
    """Write the table of docs/performance.md: for every size and place, steps in matrix form over those row by row."""
    results, machine = report["results"], report["machine"]
    places = list(dict.fromkeys((result["backend"], result["device"]) for result in results))
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; examples per second, medians of {report['rounds']} rounds.",
        "",
        f"| K | {' | '.join(f'{backend} on {device}' for backend, device in places)} |",
        f"| ---: | {' | '.join('---:' for _ in places)} |",
    ]
    for size in BATCH_SIZES:
        cells = []
        for backend, device in places:
            case = {"backend": backend, "device": device, "batch_size": size, "operation": "step"}
            matrix, loop = (rate(results, mode=mode, **case) for mode in MODES)
            cells.append(f"{matrix:,.0f} / {loop:,.0f} = {matrix / loop:,.1f}")
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return lines


def figure_of(reports: Sequence[dict[str, Any]]) -> Figure:
    """Draw the speed of a training step against the size of the minibatch, for every machine, place and mode."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    colours = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000"]
    markers = "osD^v<>"
    places = [
        (report, backend, device)
        for report in reports
        for backend, device in dict.fromkeys((result["backend"], result["device"]) for result in report["results"])
    ]
    for number, (report, backend, device) in enumerate(places):
        for mode, dashes in zip(MODES, ("-", ":"), strict=True):
            case = {"backend": backend, "device": device, "operation": "step", "mode": mode}
            found = [rate(report["results"], batch_size=size, **case) for size in BATCH_SIZES]
            label = f"{backend} {device}, {mode}" + (f" ({report['machine']['processor']})" if len(reports) > 1 else "")
            style = {"color": colours[number % len(colours)], "marker": markers[number % len(markers)]}
            axes.plot(BATCH_SIZES, found, dashes, label=label, **style)
    axes.set(xscale="log", yscale="log", xlabel="minibatch size K, log axis")
    axes.set_ylabel("training step, examples per second, log axis")
    axes.set_xticks(BATCH_SIZES, [str(size) for size in BATCH_SIZES])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.minorticks_off()
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.suptitle(f"Fashion-MNIST, 784-{HIDDEN}-10: loop against matrix")
    return figure


def main(
    backend: Annotated[
        list[str] | None, typer.Option(help="NAME or NAME:DEVICE; repeatable. All usable by default.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where Fashion-MNIST lies.")] = None,
    rounds: Annotated[int, typer.Option(help="Measurements of each case.", min=1)] = 7,
    seconds: Annotated[float, typer.Option(help="Least time of one measurement.")] = 0.05,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    figure: Annotated[Path | None, typer.Option(help="A .png file to write.")] = None,
    draw: Annotated[
        list[Path] | None, typer.Option(help="Draw these .json files and measure nothing; repeatable.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Write the table of docs/performance.md from this .json file alone."),
    ] = None,
) -> None:
    """Measure, or show what was measured."""
    if page is not None:
        fill(DOCS / "performance.md", page_lines(json.loads(page.read_text(encoding="utf-8"))))
        return
    reports = (
        [json.loads(path.read_text()) for path in draw] if draw else [benchmark(backend, data_dir, rounds, seconds)]
    )
    for report in reports:
        print_table(table_of(report))
    if out is not None and not draw:
        write_whole(out, (json.dumps(reports[0], indent=1) + "\n").encode())
    if figure is not None:
        save_figure(figure_of(reports), figure)


def benchmark(wanted: list[str] | None, data_dir: str | None, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure the wanted backends, or all that are usable and meant for work."""
    if not wanted:
        wanted = [f"{status.name}:{device}" for status in usable() for device in status.devices]
    backends = []
    for place in wanted:
        name, _, device = place.partition(":")
        backends.append(get_backend(name, device or None))
    dataset = load_dataset("fashion-mnist", data_dir=data_dir, progress=True)
    X = Scaling.fit("range", dataset.X, dataset.pixel_max).apply(dataset.X, "float32")
    T = encode(dataset.y, np.unique(dataset.y))
    return {
        "benchmark": "devices",
        "command": " ".join(["python", *sys.argv]),
        "machine": machine(),
        "network": [X.shape[1], HIDDEN, T.shape[1]],
        "rounds": rounds,
        "seconds": seconds,
        "results": measure(backends, X, T, rounds, seconds),
    }


if __name__ == "__main__":
    run_script(main)
