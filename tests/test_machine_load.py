"""How busy others keep the processors: a program beside is noticed, our own work is not."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

import machine_load
from machine_load import Load, Watch, wait_until_quiet

SPIN = "print(flush=True)\nwhile True: pass"


def test_a_busy_program_beside_is_noticed():
    if not machine_load.STAT.exists():
        pytest.skip("this system does not tell")
    with subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) as spinning:  # noqa: S603 - our own code
        spinning.stdout.readline()
        load = wait_until_quiet(0.0)
        spinning.kill()
    assert load.others > 0.5
    assert load.quiet is False
    assert str(load).startswith("busy: other programs keep ")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Two cores, as a system would tell of them: gives a function that lets time go by."""
    now = {"seconds": 0.0, "spent": 0.0, "idle": 0.0}
    clock = SimpleNamespace(monotonic=lambda: now["seconds"], process_time=lambda: now["spent"])
    monkeypatch.setattr(machine_load, "time", clock)
    monkeypatch.setattr(machine_load, "STAT", tmp_path / "stat")

    def go(**more):
        for key, value in more.items():
            now[key] += value
        ticks = round(now["idle"] * machine_load.os.sysconf("SC_CLK_TCK"))
        row = f"7 0 7 {ticks} 0 0 0 0 0 0"
        (tmp_path / "stat").write_text(f"cpu  {row}\ncpu0 {row}\ncpu1 {row}\nintr 1\n")

    go()
    return go


def test_what_we_and_our_processes_take_is_not_that_of_others(machine):
    watch = Watch()
    machine(seconds=10.0, spent=3.0, idle=12.0)
    assert watch.load() == Load(0.5, 10.0)
    assert watch.load(own=5.0) == Load(0.0, 10.0)
    assert watch.load(own=5.0).quiet is True
    assert watch.load(own=4.0).quiet is False


def test_the_clocks_rounding_disturbs_nobody():
    assert Load(0.2, 0.1).quiet is True
    assert Load(0.2, 1.0).quiet is False


def test_a_system_that_does_not_tell_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(machine_load, "STAT", tmp_path / "none")
    load = wait_until_quiet(60.0)
    assert (load.others, load.quiet) == (None, None)
    assert str(load) == "this system does not tell what other programs take of the processors"
