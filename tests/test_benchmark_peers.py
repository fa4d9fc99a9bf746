"""The comparison with other libraries, in its shortest form, on the real data; and its pure parts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

import benchmark_peers
from benchmark_peers import LOG, MARK, PAGE
from machine_load import Load
from pages import shown
from peers import turns
from peers.charts import FLOOR as FLOOR_COLOUR
from peers.charts import OURS, THEIRS, figure_of
from peers.comparison import SAME_BATCHES, compare, disagreements, disturbed_share, participants, ratio
from peers.contenders import CONTENDERS, FIELDS, FLOORS
from peers.growth import exponent
from peers.markdown import comparison_lines, target_lines
from peers.scoring import training_loss
from peers.tables import tables_of
from peers.targets import GPU_TARGETS, TARGETS, judge
from peers.task import Task
from peers.turns import ContenderError, environment, take_turns
from peers.workloads import GPU_WORKLOADS, WORKLOADS, shortened, write_start
from xpmlp import BackendError, InputError, XpmlpError, get_backend
from xpmlp.backends import statuses

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark_peers.py"
NUMPY, SKLEARN, FLOOR = "xpmlp-numpy", "scikit-learn", "floor-numpy"


def run(folder, *arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own script


@pytest.fixture(scope="module")
def done(data_dir, tmp_path_factory, pytestconfig):
    """One quick run of two workloads; only where NumPy is among the backends asked for, since one run is enough."""
    if "numpy" not in pytestconfig.backends:
        pytest.skip("runs on numpy, which is not asked for")
    folder = tmp_path_factory.mktemp("peers")
    workloads = ("--workload", "small", "--workload", "predict-one", "--no-growth", "--threads", 1, "--quick")
    files = ("--out", "peers.json", "--figure", "peers.png")
    finished = run(folder, "--contender", SKLEARN, *workloads, *files, "--data-dir", data_dir.absolute())
    assert finished.returncode == 0, finished.stderr
    return folder, finished


@pytest.fixture(scope="module")
def report(done):
    return json.loads((done[0] / "peers.json").read_text())


def test_it_measures_each_contender_and_its_floor(report):
    assert list(report["workloads"]) == ["small", "predict-one"]
    for comparison in report["workloads"].values():
        assert list(comparison["results"]) == [NUMPY, SKLEARN, FLOOR]
        for name, result in comparison["results"].items():
            assert len(result["seconds"]) == report["repetitions"] == 1
            assert result["seconds"][0] > 0
            assert result["peak_bytes"] >= result["base_bytes"] > 0
            assert ("to_floor" in result) == (name != FLOOR)
            assert all(pool["num_threads"] == 1 for pool in result["pools"])
        assert comparison["results"][NUMPY]["to_xpmlp"] == {"median": 1.0, "lower": 1.0, "upper": 1.0}
    assert report["threads"] == 1
    assert report["load"]["tolerated"] == 0.05
    assert report["load"]["before"]["others"] is None or report["load"]["before"]["others"] >= 0
    assert report["machine"]["cores"] >= 1
    assert {"python", "numpy", "scikit-learn", "xpmlp"} <= set(report["versions"])
    assert report["growth"] == {}


def test_contenders_learn_the_same(report):
    results = report["workloads"]["small"]["results"]
    assert all(results[name]["agrees"] for name in (NUMPY, SKLEARN))
    assert results[NUMPY]["losses"] != results[SKLEARN]["losses"], "its shuffles are its own"
    predictions = report["workloads"]["predict-one"]["results"]
    assert predictions[SKLEARN]["loss_apart"] < 1e-6, "the same weights give the same probabilities"
    assert report["disagreements"] == []


def test_tables_have_a_row_for_each_contender_and_each_target(done, report):
    lines = done[1].stdout.splitlines()
    for name in (NUMPY, SKLEARN, FLOOR):
        assert sum(re.match(rf"│ {name} +│", line) is not None for line in lines) == 2
    assert len(report["targets"]) == len(TARGETS)
    verdicts = [target["met"] for target in report["targets"] if target["met"] is not None]
    shown = [line for line in lines if re.search(r"│ (not )?met +│$", line)]
    assert len(shown) == len(verdicts) > 0


def test_the_figure_is_drawn(done):
    assert (done[0] / "peers.png").read_bytes().startswith(b"\x89PNG")


def test_files_are_replaced_only_if_asked(done):
    again = run(done[0], "--out", "peers.json")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert "Traceback" not in again.stderr


def test_unknown_names_are_refused_before_anything_is_measured():
    with pytest.raises(InputError, match="contender is 'keras'"):
        benchmark_peers.choose(["keras"])
    with pytest.raises(InputError, match="workload is 'huge'"):
        benchmark_peers.benchmark(["small", "huge"], [NUMPY], None, 1, 1, None, growth=False, few=True)


# Contenders that are not there


@pytest.fixture
def absent(monkeypatch):
    """Thinc's entry, whose library is not to be found."""
    monkeypatch.setitem(CONTENDERS, "thinc", replace(CONTENDERS["thinc"], libraries=("a_library_of_no_name.api",)))


@pytest.mark.usefixtures("absent")
def test_a_contender_that_is_not_installed_is_skipped_and_said():
    chosen, skipped = benchmark_peers.choose(None)
    assert "thinc" not in chosen
    assert skipped["thinc"] == "a_library_of_no_name is not installed (pip install 'xpmlp[bench]')"


@pytest.mark.usefixtures("absent")
def test_a_contender_that_is_named_but_not_installed_is_refused():
    with pytest.raises(InputError, match="a_library_of_no_name"):
        benchmark_peers.choose(["thinc"])


def test_xpmlp_on_numpy_is_always_there_and_no_contender_twice():
    assert benchmark_peers.choose([SKLEARN, SKLEARN]) == ([NUMPY, SKLEARN], {})


# Contenders that do less


def make_task(folder, workload):
    """Lay out a workload on random images, whose labels depend on them."""
    rng = np.random.default_rng(0)
    for suffix in ("", "_test"):
        X = rng.random((workload.images, 784), dtype=np.float32)
        np.save(folder / f"pixels{suffix}.npy", (255 * X).astype(np.uint8))
        np.save(folder / f"y{suffix}.npy", X[:, :10].argmax(axis=1))
    write_start(folder, workload)
    return Task.load(folder, workload)


@pytest.fixture
def task(tmp_path):
    """The small workload in its quick form."""
    return make_task(tmp_path, shortened(WORKLOADS["small"]))


def answers(loss, seconds=(1.0, 2.0)):
    losses = [loss] * len(seconds)
    once = {"peak_bytes": 3, "base_bytes": 1}
    return once | {"seconds": list(seconds), "losses": losses, "cores": [1.0, 1.0], "disturbed": [False, True]}


def compared(task, share, peer):
    """Compare with a peer that has learnt a share of what xpmlp has learnt."""
    start = training_loss(task, task.layers)
    measured = {NUMPY: answers(start - 0.1), peer: answers(start - 0.1 * share), FLOOR: answers(None, (0.5, 0.5))}
    return {"small": compare(task, measured)}


@pytest.mark.parametrize(("peer", "enough", "too_little"), [("thinc", 0.9995, 0.998), (SKLEARN, 0.96, 0.94)])
def test_a_contender_that_learns_less_is_caught(task, peer, enough, too_little):
    assert disagreements(compared(task, enough, peer)) == []
    (message,) = disagreements(compared(task, too_little, peer))
    assert message.startswith(f"small: {peer} has not learnt what {NUMPY} has")


def test_a_contender_whose_loss_is_not_a_number_is_caught(task):
    diverged = compared(task, float("nan"), "thinc")
    assert len(disagreements(diverged)) == 1

    once = {NUMPY: answers(1.0), "thinc": {**answers(1.0), "losses": [1.0, float("nan")]}, FLOOR: answers(None)}
    assert len(disagreements({"small": compare(task, once)})) == 1


def test_a_contender_that_learns_less_is_marked_and_ends_in_exit_code_1(task, monkeypatch, capsys, tmp_path):
    """A contender that skips every other image, in a run of the script from its arguments on."""
    cheat = compared(task, 0.5, "scikit-learn")
    results = {"workloads": cheat, "growth": {}, "targets": judge(cheat), "disagreements": disagreements(cheat)}
    results["load"] = {"disturbed": disturbed_share(cheat)}
    monkeypatch.setattr(benchmark_peers, "benchmark", lambda *_, **__: results)
    with pytest.raises(typer.Exit) as ended:
        benchmark_peers.main(workload=["small"], contender=["scikit-learn"], out=tmp_path / "peers.json")
    assert ended.value.exit_code == 1
    shown = capsys.readouterr()
    assert "differs" in shown.out
    assert "Its time does not count" in shown.err
    assert (
        json.loads((tmp_path / "peers.json").read_text())["workloads"]["small"]["results"]["scikit-learn"]["agrees"]
        is False
    )


def test_a_contender_that_fails_is_one_message(tmp_path):
    """There are no arrays to be read in an empty folder."""
    with pytest.raises(XpmlpError, match=r"contender floor-numpy failed: FileNotFoundError: .*pixels\.npy"):
        take_turns(WORKLOADS["small"], [FLOOR], tmp_path, threads=1, repetitions=1)


# What is made of the seconds


def test_ratios_are_taken_repetition_by_repetition(task):
    assert ratio([2.0, 6.0, 12.0], [1.0, 2.0, 3.0]) == {"median": 3.0, "lower": 2.5, "upper": 3.5}
    results = compared(task, 1.0, "thinc")["small"]["results"]
    assert results["thinc"]["to_floor"] == {"median": 3.0, "lower": 2.5, "upper": 3.5}


def test_the_floor_of_adam_has_the_update_in_it():
    adam = WORKLOADS["wide-adam"]
    assert participants(adam, [NUMPY]) == [NUMPY, FLOOR, "floor-update"]
    assert participants(WORKLOADS["wide-sgd"], [NUMPY, "xpmlp-torch"]) == [NUMPY, "xpmlp-torch", FLOOR, "floor-torch"]
    assert "torch-loader" not in participants(WORKLOADS["predict"], [NUMPY, "torch-loader"])


def test_targets_are_met_missed_or_not_measured(task):
    judged = {target["target"]: target for target in judge(compared(task, 1.0, "thinc"))}
    memory = judged["small: peak memory of xpmlp-numpy over that of thinc, at most 1"]
    assert (memory["measured"]["median"], memory["met"]) == (1.0, True)
    speed = judged["small: time of thinc over that of xpmlp-numpy, at least 2.8"]
    assert (speed["measured"]["median"], speed["met"]) == (1.0, False)
    floor = judged["small: time of xpmlp-numpy over that of its floor, at most 1.3"]
    assert (floor["measured"], floor["met"]) == ({"median": 3.0, "lower": 2.5, "upper": 3.5}, False)
    assert {target["met"] for name, target in judged.items() if not name.startswith("small")} == {None}


def test_targets_name_workloads_and_contenders_that_exist():
    for target in TARGETS:
        assert target.workload in WORKLOADS
        assert {target.over, target.under} <= {*CONTENDERS, "its floor"}
        assert (target.at_most is None) != (target.at_least is None)


# On a GPU


def test_a_gpu_that_is_not_there_is_one_line(tmp_path):
    if not any(status.name == "cupy" and status.problem for status in statuses()):
        pytest.skip("there is a GPU")
    done = run(tmp_path, "--device", "gpu", "--contender", "torch-graphs")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"Error: CuPy is .*\n", done.stderr)


@pytest.fixture
def cupy(monkeypatch):
    """CuPy, as if it were there; what is put into the environment for JAX is taken out again."""
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setattr(
        benchmark_peers, "get_backend", lambda name, *_: None if name == "cupy" else get_backend(name, "cuda")
    )
    entry = FIELDS["cuda"].contenders["xpmlp-cupy"]
    monkeypatch.setitem(FIELDS["cuda"].contenders, "xpmlp-cupy", replace(entry, libraries=("xpmlp.training",)))


@pytest.mark.usefixtures("cupy")
def test_a_contender_whose_library_finds_no_gpu_is_skipped_or_refused_with_the_reason():
    torch = pytest.importorskip("torch", reason="this is about torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    chosen, skipped = benchmark_peers.choose(None, "cuda")
    assert chosen == ["xpmlp-cupy"]
    assert skipped["torch-graphs"].startswith("device 'cuda:0'")
    with pytest.raises(BackendError, match="contender torch-graphs cannot be used here: device 'cuda:0'"):
        benchmark_peers.choose(["torch-graphs"], "cuda")


CONTENDER = """
import json, os, sys, time
name, folder = sys.argv[1:3]
turns = {"slow": 0, "unopened": 1, "broken": 1, "failing": 2}.get(name, 9)
for turn in range(1 + turns):
    if turn == turns:
        time.sleep(60 if name == "slow" else 0)
        print(json.dumps({"error": "no compiler"}), flush=True)
    else:
        if turn == 1 and name in ("left", "right"):
            open(f"{folder}/{name}", "w").close()
            while len({"left", "right"} & set(os.listdir(folder))) < 2:
                time.sleep(0.01)
        answer = {"peak_bytes": 2, "pools": [], "seconds": 3.0, "cores": 4.0, "loss": 5.0, "cpu_seconds": 0.0}
        print(json.dumps(answer if turn else {"base_bytes": 1}), flush=True)
    if name != "unopened" and not sys.stdin.readline():
        break
"""


@pytest.fixture
def contend(monkeypatch, tmp_path):
    """Take turns with contenders that do what their names say."""
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "__init__.py").touch()
    (tmp_path / "peers" / "worker.py").write_text(CONTENDER)
    monkeypatch.setattr(turns, "SCRIPTS", tmp_path)
    settings = {"threads": 1, "repetitions": 2, "patience": 4.0}
    return lambda names, **more: take_turns(GPU_WORKLOADS["small"], names, tmp_path, **settings | more)


def test_the_others_go_on_without_a_contender_that_may_fail(contend, monkeypatch):
    """Here one has no answer, one ends before its first turn, one fails in it and one in its second."""
    waited = turns.Worker.begin

    def begin(worker):
        if worker.name == "unopened":
            worker.process.wait()
        waited(worker)

    monkeypatch.setattr(turns.Worker, "begin", begin)
    names = ["first", "slow", "unopened", "broken", "failing", "last"]
    found, failed = contend(names, may_fail=set(names[1:5]))
    assert list(found) == ["first", "last"]
    assert found["last"]["seconds"] == [3.0, 3.0]
    assert [str(error) for error in failed] == [
        "contender slow had no answer within 4 s, and was ended.",
        "contender unopened failed: no compiler. Leave it out with --contender.",
        "contender broken failed: no compiler. Leave it out with --contender.",
        "contender failing failed: no compiler. Leave it out with --contender.",
    ]
    with pytest.raises(ContenderError, match="contender broken failed: no compiler"):
        contend(["first", "broken"])


@pytest.fixture
def loads(monkeypatch):
    """What others take in each turn to come; the machine is never waited for."""
    to_come = []
    monkeypatch.setattr(turns, "Watch", lambda: SimpleNamespace(load=lambda **_: Load(to_come.pop(0), 10.0)))
    monkeypatch.setattr(turns, "wait_until_quiet", lambda _: None)
    return to_come


def test_a_disturbed_repetition_is_made_again_and_marked_where_it_stays_disturbed(contend, loads):
    """The first is disturbed twice, the second quiet at once, the third never quiet: its quietest one counts."""
    loads += [1.0, 0.5, 0.01, 0.02, 0.9, 0.3, 0.8, 0.0]
    found, _ = contend(["first"], repetitions=3, retries=2)
    assert found["first"]["others"] == [0.01, 0.02, 0.3]
    assert found["first"]["disturbed"] == [False, False, True]
    assert len(found["first"]["seconds"]) == 3
    assert loads == [0.0]
    assert disturbed_share({"small": {"results": found}}) == pytest.approx(1 / 3)


def test_nothing_is_made_again_where_the_system_does_not_tell(contend, loads):
    loads += [None, None]
    found, _ = contend(["first"], retries=2)
    assert found["first"]["disturbed"] == [None, None]
    assert disturbed_share({"small": {"results": found}}) is None


def test_all_contenders_warm_up_at_once_and_no_round_begins_after_the_end(contend):
    """Each of the two waits for the other in its first turn."""
    found, _ = contend(["left", "right"], end=0.0, fuse=True)
    assert [each["seconds"] for each in found.values()] == [[3.0], [3.0]]


def test_names_of_the_cpu_are_none_of_the_gpu():
    with pytest.raises(InputError, match="workload is 'predict'"):
        benchmark_peers.benchmark(["predict"], [], None, 1, 1, None, growth=False, few=True, device="cuda")
    with pytest.raises(InputError, match="device is 'tpu'"):
        benchmark_peers.main(device="tpu")


def on_gpu(task, seconds):
    """Compare contenders on a GPU that all have learnt the same, in so many seconds."""
    task = replace(task, workload=replace(task.workload, device="cuda"))
    learnt = training_loss(task, task.layers) - 0.1
    measured = {
        name: answers(learnt if name in FIELDS["cuda"].contenders else None, (s, s)) for name, s in seconds.items()
    }
    return compare(task, measured)


def test_targets_of_the_gpu_are_judged_by_the_rate_of_the_card(task):
    small = on_gpu(task, {"xpmlp-cupy": 1.0, "torch-eager": 9.0, "torch-graphs": 0.9, "floor-rate": 0.1})
    wide = on_gpu(task, {"xpmlp-cupy": 1.0, "torch-graphs": 1.1, "floor-rate": 0.85})
    judged = {target["target"]: target for target in judge({"small": small, "wide": wide}, GPU_TARGETS)}
    assert {name: target["met"] for name, target in judged.items()} == {
        "small: time of torch-eager over that of xpmlp-cupy, at least 8": True,
        "small: time of torch-graphs over that of xpmlp-cupy, at least 1": False,
        "wide: time of torch-graphs over that of xpmlp-cupy, at least 1": True,
        "wide: time of xpmlp-cupy over that of its floor, at most 1.25": True,
    }
    assert small["results"]["torch-eager"]["to_xpmlp"]["median"] == 9.0
    titles = [
        str(table.columns[2].header)
        for table in tables_of(
            {"workloads": {"small": small}, "growth": {}, "targets": [], "load": {"disturbed": None}}
        )
    ]
    assert titles[0] == "over xpmlp-cupy"


def test_contenders_and_workloads_of_the_gpu_are_complete():
    field = FIELDS["cuda"]
    expected = ["xpmlp-cupy", "xpmlp-torch", "xpmlp-jax", "torch-eager", "torch-graphs", "torch-compiled", "jax-jit"]
    assert list(field.contenders) == expected
    assert {entry.floor for entry in field.contenders.values()} == set(field.floors)
    assert all(workload.device == "cuda" and workload.optimizer == "sgd" for workload in GPU_WORKLOADS.values())
    for target in GPU_TARGETS:
        assert target.workload in GPU_WORKLOADS
        assert {target.over, target.under} <= {*field.contenders, "its floor"}


def test_the_floor_of_a_card_is_as_many_multiplications_as_the_workload_has(task, monkeypatch):
    rows, cupy = [], ModuleType("cupy")
    cupy.asarray, cupy.empty_like = np.asarray, np.empty_like
    cupy.matmul = lambda a, b, out: rows.append(len(a)) or (a.shape[1], b.shape, out.shape)
    cupy.cuda = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    from peers.contenders import floor_rate

    monkeypatch.setattr(floor_rate, "SIDE", 64)
    steps = 512 * (3 * (784 * 50 + 50 * 10) - 784 * 50)  # each product of a minibatch but that for the first delta
    assert floor_rate.multiplications(task) == steps
    floor_rate.Peer(task).train()
    assert sum(rows) == -(-steps // 64**2)
    assert max(rows) == 64


@pytest.mark.parametrize("name", ["torch", "jax", "numpy"])
def test_a_training_on_a_gpu_begins_again_in_the_same_buffers(name, task):
    if name != "numpy":
        pytest.importorskip(name, reason=f"this is about {name}")
    from peers.contenders import xpmlp_gpu

    contender = xpmlp_gpu.Peer(task, name)
    losses, addresses = [], []
    for _ in range(3):
        contender.train()
        losses.append(training_loss(task, contender.layers()))
        addresses.append([id(p) for layer in contender.trainer.layers for p in layer])
    assert len(set(losses)) == 1
    assert losses[0] < training_loss(task, task.layers)
    assert int(contender.backend.to_numpy(contender.trainer.state.t)) == task.workload.steps
    if name != "jax":
        assert addresses[0] == addresses[1] == addresses[2]


def test_torchs_graph_of_an_epoch_learns_the_same(task, monkeypatch):
    """On streams and graphs that compute at once; a replay takes the steps again."""
    torch = pytest.importorskip("torch", reason="this is about torch")
    from peers.contenders import torch_graphs

    stream = SimpleNamespace(wait_stream=lambda _: None)
    graph = SimpleNamespace()
    for name, stand_in in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda _: nullcontext(),
        "CUDAGraph": lambda: graph,
        "graph": lambda _: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    contender, reference = torch_graphs.Peer(task), CONTENDERS[NUMPY].open(task)
    graph.replay = contender._epoch
    reference.train()
    for _ in range(2):
        contender.train()
        expected = training_loss(task, reference.layers())
        assert training_loss(task, contender.layers()) == pytest.approx(expected, rel=1e-6)
        assert expected < training_loss(task, task.layers)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_jax_sees_the_device_that_is_asked_for(device, monkeypatch):
    for name in ("JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.delenv(name, raising=False)
    found = environment(1, device)
    assert ("JAX_PLATFORMS" in found) == (device == "cpu")
    assert ("XLA_PYTHON_CLIENT_PREALLOCATE" in found) == (device == "cuda")


@pytest.mark.parametrize(("seconds", "unit", "longest"), [(1.0, "s", 2.0), (1e-3, "ms", 2.0), (3e-7, "µs", 0.6)])
def test_the_figure_has_one_unit_in_a_panel_and_a_legend_of_its_colours(seconds, unit, longest, task):
    learnt = training_loss(task, task.layers) - 0.1
    measured = {
        NUMPY: answers(learnt, (seconds, seconds)),
        "thinc": answers(learnt, (2 * seconds, 2 * seconds)),
        FLOOR: answers(None, (seconds / 2, seconds / 2)),
    }
    column = {"exponent": 0.9, "seconds": [{"median": 0.02}, {"median": 0.2}]}
    growth = {"images": {"sizes": [7500, 60000], "contenders": {NUMPY: column, "thinc": column}}}
    workloads = {"small": compare(task, measured)}
    figure = figure_of({"workloads": workloads, "growth": growth, "threads": 2, "repetitions": 2})
    bars, curves = figure.axes
    assert bars.get_xlabel() == f"time ({unit})"
    assert [label.get_text() for label in bars.get_yticklabels()] == [FLOOR, "thinc", NUMPY]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([longest / 4, longest, longest / 2])
    colours = [FLOOR_COLOUR, THEIRS, OURS]
    assert [to_hex(bar.get_facecolor()).upper() for bar in bars.patches] == colours
    (legend,) = figure.legends
    assert [to_hex(patch.get_facecolor()).upper() for patch in legend.get_patches()] == colours[::-1]

    FigureCanvasAgg(figure).draw()
    assert curves.get_legend().get_window_extent().y0 >= curves.get_window_extent().y1
    ticks = curves.get_yticks()
    assert ((ticks >= 0.02) & (ticks <= 0.2)).sum() == 4
    assert curves.get_xlabel() == "images of an epoch, log axis"


def test_exponents_are_those_of_powers():
    assert exponent([1, 2, 4, 8], [3.0, 12.0, 48.0, 192.0]) == pytest.approx(2.0)


def test_the_number_of_threads_is_in_the_environment_before_anything_is_loaded():
    assert environment(3)["OPENBLAS_NUM_THREADS"] == environment(3)["OMP_NUM_THREADS"] == "3"
    assert "multi_thread_eigen=false" in environment(1)["XLA_FLAGS"]


# What the contenders do


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", [name for name, entry in CONTENDERS.items() if not entry.missing])
@pytest.mark.filterwarnings("ignore")  # of the libraries
def test_every_contender_that_is_installed_learns_the_same_and_predicts_the_same(name, optimizer, tmp_path):
    """In full batches where a contender shuffles by itself; without penalty where it would be on biases too."""
    l2 = 0.0 if name == "thinc" else 0.01
    workload = replace(shortened(WORKLOADS["small"]), hidden=(20, 15), optimizer=optimizer, epochs=6, l2=l2)
    size = 200 if CONTENDERS[name].same_batches else workload.images
    task = make_task(tmp_path, replace(workload, batch_size=size, learning_rate=0.1 if optimizer == "sgd" else 0.001))
    reference, contender = (CONTENDERS[each].open(task) for each in (NUMPY, name))
    if CONTENDERS[name].predicts:
        rows = task.X_test[:7]
        probabilities = np.asarray(contender.predict(contender.place(rows)))
        np.testing.assert_allclose(probabilities, reference.predict(rows), rtol=1e-5)
    for _ in range(2):  # the second time from the same weights again
        for each in (reference, contender):
            each.train()
        start, expected, loss = (
            training_loss(task, layers) for layers in (task.layers, reference.layers(), contender.layers())
        )
        assert start - expected > 0.001
        # torch's epsilon stands beside the corrected root, and some gradients of this network are of its size.
        tolerance = 0.3 if optimizer == "adam" else SAME_BATCHES
        assert abs(loss - expected) <= tolerance * (start - expected)


@pytest.mark.parametrize("name", [name for name, entry in FLOORS.items() if not entry.missing])
@pytest.mark.parametrize("workload", ["small", "predict"])
def test_every_floor_that_is_installed_runs_and_learns_nothing(name, workload, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    task = make_task(tmp_path, shortened(WORKLOADS[workload]))
    floor = FLOORS[name].open(task)
    if workload == "small":
        assert floor.train() is None
        assert floor.layers() is None
    elif FLOORS[name].predicts:
        assert floor.predict(floor.place(task.X_test)) is None


def test_the_pages_show_what_was_measured():
    report = json.loads((SCRIPT.parent.parent / "benchmarks" / "peers-cpu-2-cores.json").read_text(encoding="utf-8"))
    of_times, of_targets = [*comparison_lines(report)], [*target_lines(report)]
    assert shown(PAGE, MARK) == of_times
    assert shown(LOG, MARK) == of_targets
    small = report["workloads"]["small"]["results"]
    (row,) = (line for line in of_times if line.startswith("| scikit-learn |"))
    assert row.split(" | ")[1] == f"{small['scikit-learn']['to_xpmlp']['median']:.2f}"
    measured = [each for each in report["targets"] if each["met"] is not None and "memory" not in each["target"]]
    assert sum(line.endswith(("| met |", "| not met |")) for line in of_targets) == len(measured)
