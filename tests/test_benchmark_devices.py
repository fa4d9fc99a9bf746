"""The cross-device benchmark, in its shortest form, on the real data."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from benchmark_devices import EPOCH_STEPS, figure_of, page_lines
from pages import DOCS, shown

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark_devices.py"


def run(folder, *arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own script


def test_it_measures_both_modes_at_every_size_and_draws_what_was_measured(data_dir, tmp_path):
    measured = tmp_path / "measured.json"
    quick = ["--backend", "numpy", "--rounds", "1", "--seconds", "0", "--data-dir", data_dir.absolute()]
    done = run(tmp_path, *quick, "--out", measured, "--figure", tmp_path / "one.png")
    assert done.returncode == 0, done.stderr
    assert "matrix / loop" in done.stdout

    report = json.loads(measured.read_text())
    cases = {(r["mode"], r["operation"], r["batch_size"]) for r in report["results"]}
    sizes = {1, 10, 100, 256, 1000}
    assert cases == {(m, o, k) for m in ("matrix", "loop") for o in ("fprop", "bprop", "step") for k in sizes}
    assert all(r["examples_per_second"]["median"] > 0 for r in report["results"])
    assert {r["timed_rows"] for r in report["results"] if r["mode"] == "loop"} == {1, 10, 20, 100}
    steps = [r for r in report["results"] if (r["mode"], r["operation"]) == ("matrix", "step")]
    assert [r["timed_rows"] for r in steps] == [EPOCH_STEPS * r["batch_size"] for r in steps]
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["backends"][0]["name"] == "numpy"

    done = run(tmp_path, "--draw", measured, "--draw", measured, "--figure", tmp_path / "two.png")
    assert done.returncode == 0, done.stderr
    for name in ("one.png", "two.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_legend_of_several_machines_leaves_the_axes_their_room():
    report = json.loads((SCRIPT.parent.parent / "benchmarks" / "devices-cpu-2-cores.json").read_text())
    other = deepcopy(report)
    other["machine"]["processor"] = "A Processor of Some Maker with a Name of Many Words @ 2.70GHz"
    figure = figure_of([report, other])
    FigureCanvasAgg(figure).draw()
    (axes,), (legend,) = figure.axes, figure.legends
    box, outer = axes.get_window_extent(), legend.get_window_extent()
    assert outer.y1 <= box.y0
    assert box.width > 0.7 * figure.bbox.width
    assert box.height > 0.5 * figure.bbox.height
    assert 0 <= outer.x0 < outer.x1 <= figure.bbox.width


def test_a_backend_that_is_not_there_is_one_message_with_exit_code_2(tmp_path):
    done = run(tmp_path, "--backend", "mxnet")
    assert done.returncode == 2
    assert "backend is 'mxnet'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_table_of_the_page_on_performance_is_what_was_measured():
    report = json.loads((SCRIPT.parent.parent / "benchmarks" / "devices-cpu-2-cores.json").read_text())
    assert shown(DOCS / "performance.md") == page_lines(report)
