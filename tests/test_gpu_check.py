"""`scripts/gpu_check.py`, on a CPU: every part is tried within its time, and what fails is said."""

import json
import sys
import time
import warnings
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import typer
from devices import Recorder

import gpu_check
from gpu_parts import worker
from gpu_parts.plan import Part, carry_out, plan_of
from gpu_parts.worker import PARTS
from reproduction.fashion import FINAL
from xpmlp import BackendError, InputError, XpmlpWarning
from xpmlp.backends import BACKENDS
from xpmlp.experiments.experiment import prepare

QUICK = replace(FINAL, dataset="digits", epochs=4)
ALL = [
    "machine",
    "report",
    "report again",
    "stacks of networks",
    "graphs against eager steps",
    "gradients",
    "precision",
    "memory",
    "devices",
    "peers, small",
    "peers, wide",
    "tests",
]


@pytest.fixture
def _taken_for_a_gpu(monkeypatch):
    """Let the CPU of this machine stand in for a GPU."""
    monkeypatch.setattr(gpu_check, "GPUS", ("cpu",))


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """What is put there for JAX is taken out again."""
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def python(code, seconds=30.0):
    """A part that runs some code, with the name of its file in `file`."""
    return Part((sys.executable, "-c", f"import sys; file = sys.argv[1]; {code}"), seconds)


def finding(**found):
    return python(f"open(file, 'w').write({json.dumps(found)!r})")


@pytest.mark.usefixtures("_taken_for_a_gpu")
def test_a_part_is_tried_and_written_down(tmp_path, capsys):
    out = tmp_path / "gpu.json"
    gpu_check.main(backend="numpy", part=["gradients"], out=out)
    shown = capsys.readouterr().out
    assert "gradients: passed in " in shown
    assert "not measured: machine; report; report again; stacks of networks; graphs against eager steps;" in shown
    found = json.loads(out.read_text())
    assert list(found["parts"]) == ["gradients"]
    assert found["not_measured"] == [name for name in ALL if name != "gradients"]
    part = found["parts"]["gradients"]
    assert part["passed"]
    assert 0 < part["found"]["worst_relative_error"]["matrix"] < 1e-7
    assert 0 < part["seconds"] < part["limit"]
    with pytest.raises(InputError, match="exists: choose another name, or give --overwrite"):
        gpu_check.main(backend="numpy", out=out)


@pytest.mark.usefixtures("_taken_for_a_gpu")
def test_the_page_says_what_passed_was_captured_fell_back_and_was_not_measured(tmp_path, monkeypatch, capsys):
    compared = {"passed": False, "captured": 0, "steps": 1000, "apart": 3e-5, "eager_over_graphs": 1.25}
    warned = "print('plan.py:1: XpmlpWarning: <b>kernels</b> fell back'); "
    parts = dict.fromkeys(ALL, finding(targets={"64 networks in time": True, "one in time": False}))
    parts["machine"] = finding(backends=[{"name": "cupy", "version": "14", "devices": [], "problem": "no card"}])
    of_graphs = {"long graphs": compared | {"warnings": ["could not be captured: too new"]}}
    parts["graphs against eager steps"] = finding(passed=False, **of_graphs)
    parts["peers, wide"] = finding(
        targets=[{"target": "torch over ours", "value": None, "met": None}], skipped={"jax": "it is not installed"}
    )
    parts["tests"] = finding(summaries=["3 passed"], failed=["FAILED test_graphs.py"])
    parts["memory"] = python(warned + "sys.exit('no <memory> left')")
    monkeypatch.setattr(gpu_check, "plan_of", lambda _: parts)
    chosen = [name for name in ALL if name != "precision"]
    with pytest.raises(typer.Exit):
        gpu_check.main(backend="numpy", part=chosen, html=tmp_path / "gpu.html", out=tmp_path / "gpu.json")
    page = (tmp_path / "gpu.html").read_text()
    for words in (
        "xpmlp on cpu",
        "Not passed: graphs against eager steps; memory.",
        "Not measured: precision.",
        "no &lt;memory&gt; left",
        "&lt;b&gt;kernels&lt;/b&gt; fell back",
        "could not be captured: too new",
        "jax was left out: it is not installed",
        '<td class="n">1000</td><td class="n">3.0e-05</td><td class="n">1.25</td>',
        "no card",
        "64 networks in time",
        "FAILED test_graphs.py",
    ):
        assert words in page, words
    assert "<b>" not in page
    verdicts = [" ".join(each.split()) for each in page.split('class="verdict')]
    assert sum("met<" in each for each in verdicts) == sum("missed<" in each for each in verdicts) > 0
    assert json.loads((tmp_path / "gpu.json").read_text())["parts"]["memory"]["warnings"] == [
        "<b>kernels</b> fell back"
    ]
    capsys.readouterr()
    with pytest.raises(InputError, match="exists: choose another name, or give --overwrite"):
        gpu_check.main(backend="numpy", html=tmp_path / "gpu.html")
    with pytest.raises(InputError, match=r"must end in one of \.html"):
        gpu_check.main(backend="numpy", html=tmp_path / "gpu.json")


@pytest.mark.usefixtures("_taken_for_a_gpu")
def test_the_page_of_a_part_that_a_cpu_can_do(tmp_path, capsys):
    gpu_check.main(backend="numpy", part=["machine"], html=tmp_path / "gpu.html")
    page = (tmp_path / "gpu.html").read_text()
    assert "The part that was tried has passed." in page
    assert np.__version__ in page
    assert page.count("This part was not measured.") == 2
    capsys.readouterr()


def test_a_backend_that_cannot_be_used_is_refused_at_once():
    with pytest.raises(InputError, match="backend is 'nothing', but must be one of:"):
        gpu_check.main(backend="nothing")


def test_a_device_that_is_no_gpu_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "carry_out", None)  # nothing is tried
    for backend, device in (("numpy", None), ("numpy", "cpu")):
        with pytest.raises(BackendError, match=r"computes on cpu here, which is no GPU: .* --device cuda"):
            gpu_check.main(backend=backend, device=device, out=tmp_path / "gpu.json")
    assert not (tmp_path / "gpu.json").exists()


def test_parts_have_names():
    with pytest.raises(InputError, match="part is 'everything', but must be one of: machine"):
        gpu_check.main(part=["everything"])


def test_every_part_has_a_limit_and_together_they_take_less_than_eight_minutes():
    plan = plan_of(replace(FINAL, backend="cupy", device="cuda:0", data_dir="data"))
    assert list(plan) == gpu_check.PARTS == ALL
    assert sum(part.seconds for part in plan.values()) < 480
    devices, peers = (" ".join(plan[name].command) for name in ("devices", "peers, wide"))
    assert "benchmark_devices.py --backend cupy:cuda:0 " in devices
    assert "benchmark_peers.py --device gpu " in peers
    assert " --patience 30 --limit 30 " in peers  # of 50 seconds
    assert peers.endswith(" --workload wide --data-dir data --out")
    assert devices.endswith(" --data-dir data --out")


def test_what_fails_or_takes_too_long_is_said_and_the_rest_is_done(tmp_path, capfd):
    left = "import subprocess; subprocess.Popen(['sleep', '60']); print('out of order'); sys.exit(3)"
    parts = {
        "failing": python(left),
        "slow": python("import subprocess; subprocess.run(['sleep', '60'])", seconds=1.0),
        "not passed": finding(passed=False, apart=1),
        "benchmark": finding(results=[1]),
    }
    start = time.perf_counter()
    found = dict(carry_out(parts, tmp_path))
    assert time.perf_counter() - start < 30, "what a part has started ends with it"
    assert {name: result["passed"] for name, result in found.items()} == {
        "failing": False,
        "slow": False,
        "not passed": False,
        "benchmark": True,
    }
    assert found["failing"]["error"] == "exit code 3: out of order\n"
    assert found["slow"]["error"].startswith("cut off after 1 s")
    assert found["not passed"]["found"]["apart"] == 1
    assert found["benchmark"]["found"] == {"results": [1]}
    assert "out of order" in capfd.readouterr().out


@pytest.mark.usefixtures("_taken_for_a_gpu")
def test_what_is_found_is_written_after_each_part(tmp_path, monkeypatch):
    def interrupted(parts, _):
        yield next(iter(parts)), {"passed": True, "seconds": 1.0}
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu_check, "carry_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gpu_check.main(backend="numpy", out=tmp_path / "gpu.json")
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert list(found["parts"]) == ALL[:1]
    assert found["not_measured"] == ALL[1:]


def test_cupy_compiles_its_kernels_anew_in_each_check_and_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CUPY_CACHE_DIR", "of the user")
    code = "import json, os; json.dump({'kept': os.environ['CUPY_CACHE_DIR']}, open(file, 'w'))"
    found = [result["found"]["kept"] for _, result in carry_out(dict.fromkeys("ab", python(code)), tmp_path)]
    assert found == [str(tmp_path / "kernels")] * 2


@pytest.mark.usefixtures("_taken_for_a_gpu")
def test_the_exit_code_says_whether_all_have_passed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "plan_of", lambda _: dict.fromkeys(ALL, python("sys.exit(1)")))
    with pytest.raises(typer.Exit) as ended:
        gpu_check.main(backend="numpy", part=["report"], out=tmp_path / "gpu.json")
    assert ended.value.exit_code == 1
    assert json.loads((tmp_path / "gpu.json").read_text())["parts"]["report"]["passed"] is False


def test_the_report_is_timed_after_its_first_epochs():
    found = PARTS["report"](QUICK)
    assert found["epochs"] == 4
    assert len(found["seconds_of_first_epochs"]) == 3
    assert 0 < found["seconds_of_a_later_epoch"] < found["seconds_from_start"]
    assert found["targets"] == {}  # they are for a hundred epochs
    assert len(PARTS["report"](replace(QUICK, epochs=100))["targets"]) == 3


def test_graphs_and_eager_steps_are_compared_over_a_thousand_steps_and_a_thousand_replays(monkeypatch):
    assert worker.COMPARED_REPLAYS == 1000
    monkeypatch.setattr(worker, "COMPARED_REPLAYS", 10)
    found = PARTS["compare"](QUICK)
    assert found["passed"]
    assert found["long graphs"]["steps"] >= 1000
    assert found["short graphs"]["epochs"] == 11
    assert found["short graphs"]["apart"] == 0  # NumPy has no graphs: both runs are the same


class Capturer(Recorder):
    """A capturer on the host that knows its arrays again, or never does."""

    def __init__(self, *, known):
        super().__init__()
        self.addresses = None if known else count()

    def address(self, array):
        address = super().address(array)
        return address if self.addresses is None else next(self.addresses)


@pytest.mark.parametrize(("known", "least", "most"), [(True, 4, worker.MAX_CAPTURED), (False, 0, 0)])
def test_graphs_must_have_been_captured_and_once(monkeypatch, known, least, most):
    def prepare_with_graphs(options):
        experiment = prepare(options)
        experiment.backend.capturer = Capturer(known=known) if options.graphs else None
        return experiment

    monkeypatch.setattr(worker, "prepare", prepare_with_graphs)
    found = worker.with_and_without(QUICK)
    assert (found["apart"], found["passed"]) == (0, known)
    assert least <= found["captured"] <= most  # the host may give an array of an epoch another address
    assert min(found["seconds_of_a_later_epoch"].values()) > 0
    monkeypatch.setattr(worker, "MAX_CAPTURED", 3)
    assert not worker.with_and_without(QUICK)["passed"]


def test_a_training_that_warns_that_there_are_no_graphs_has_not_passed(monkeypatch):
    said = [XpmlpWarning("could not be captured"), DeprecationWarning("of a library")]

    def prepare_and_warn(options):
        if options.graphs and said:
            warnings.warn(said.pop(), stacklevel=2)
        return prepare(options)

    monkeypatch.setattr(worker, "prepare", prepare_and_warn)
    of_a_library, of_ours = (worker.with_and_without(QUICK) for _ in range(2))
    assert (of_a_library["passed"], of_a_library["warnings"]) == (True, [])
    assert (of_ours["passed"], of_ours["warnings"]) == (False, ["could not be captured"])


def test_stacks_of_networks_are_timed_beside_one(monkeypatch):
    monkeypatch.setattr(worker, "STACKS", (1, 2, 64))
    monkeypatch.setattr(worker, "STACK_ROWS", 300)
    found = PARTS["members"](QUICK)
    assert found["examples"] == 300
    assert set(found["seconds_of_a_later_epoch"]) == {1, 2, 64}
    assert found["times_that_of_one"][1] == 1.0
    assert found["targets"] == {"64 networks in at most 3 times the time of one": found["times_that_of_one"][64] <= 3.0}


def test_the_precision_of_products_is_measured_and_one_that_changes_nothing_has_not_passed(monkeypatch):
    assert worker.PRECISIONS["highest"][1] <= worker.PRECISIONS["tf32"][0]
    monkeypatch.setattr(worker, "PRECISIONS", {"highest": (0.0, 1e-5)})  # NumPy has no other
    found = PARTS["precision"](QUICK)
    assert found["passed"]
    assert 0 < found["apart"]["highest"] < 1e-5
    for bounds in ((0.0, 1e-12), (1e-5, 1e-2)):
        monkeypatch.setattr(worker, "PRECISIONS", {"highest": bounds})
        assert not PARTS["precision"](QUICK)["passed"]


def test_the_device_is_asked_for_its_memory():
    assert PARTS["memory"](QUICK) == {"bytes_before": {}, "bytes": {}}  # of NumPy's nothing is known


def test_every_backend_is_asked_for_its_status():
    assert [status["name"] for status in PARTS["machine"](QUICK)["backends"]] == list(BACKENDS)


def test_the_suite_is_dealt_to_processes_that_all_must_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_parts.worker.SCRIPTS", tmp_path / "scripts")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # it starts in half the time
    (tmp_path / "tests").mkdir()
    conftest = "def pytest_addoption(parser): parser.addoption('--backend')"
    (tmp_path / "tests" / "conftest.py").write_text(conftest)
    for number in range(2):
        (tmp_path / "tests" / f"test_{number}.py").write_text(f"def test_number(): assert {number} == 0")
    found = PARTS["tests"](QUICK)
    assert not found["passed"]
    (line,) = found["failed"]
    assert "test_1.py::test_number" in line
    assert min(found["summaries"]).startswith("1 failed")
    (tmp_path / "tests" / "test_1.py").unlink()
    assert PARTS["tests"](QUICK)["passed"]
    left = "import subprocess, time\nsubprocess.Popen(['sleep', '20'])\ndef test(): time.sleep(60)"
    (tmp_path / "tests" / "test_0.py").write_text(left)
    monkeypatch.setattr(worker, "SUITE_SECONDS", 2)
    start = time.perf_counter()
    found = PARTS["tests"](QUICK)
    assert time.perf_counter() - start < 15, "what a test has left is not waited for"
    assert (found["passed"], found["summaries"]) == (False, ["cut off after 2 s"])
    monkeypatch.setattr(worker, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="the tests need pytest, not installed here: pip install 'xpmlp"):
        PARTS["tests"](QUICK)
