"""``python -m xpmlp.accel``: run a script or a module with scikit-learn patched."""

from __future__ import annotations

import argparse
import atexit
import builtins
import logging
import os
import runpy
import sys
import tempfile
import types
from pathlib import Path

from xpmlp.accel import patch_sklearn
from xpmlp.accel._calls import LOG, table_of
from xpmlp.common.errors import XpmlpError

CALLS = "calls.jsonl"


def main() -> None:
    """Patch scikit-learn, then run what the arguments name as Python does."""
    parser = argparse.ArgumentParser(
        prog="python -m xpmlp.accel",
        usage="%(prog)s [--device DEVICE] [--report] (SCRIPT | -m MODULE) [ARGUMENT ...]",
        description="Run a Python program whose scikit-learn MLPs are computed by xpmlp.",
        allow_abbrev=False,
    )
    parser.add_argument("--device", help="where to compute: cuda, torch:cuda:0, ... (default: the CPU)")
    parser.add_argument("--report", action="store_true", help="list at the end, on standard error, what ran where")
    n = 1  # the options before the program are ours, those after it the program's
    while n < len(sys.argv) and sys.argv[n].startswith("-") and sys.argv[n] != "-m":
        n += 2 if sys.argv[n] == "--device" else 1
    options, is_module = parser.parse_args(sys.argv[1:n]), sys.argv[n : n + 1] == ["-m"]
    program = sys.argv[n + is_module :]
    if not program:
        parser.error("give a script, or -m and a module")
    if not is_module and not Path(program[0]).is_file():
        parser.error(f"there is no file {program[0]}")
    _log_to_stderr()
    folder = tempfile.TemporaryDirectory(prefix="xpmlp-accel-") if options.report else None
    try:
        patch_sklearn(options.device, Path(folder.name, CALLS) if folder else None)
    except XpmlpError as error:
        parser.error(str(error))
    if folder:
        atexit.register(_tell, folder)  # the first to be registered is the last to be called
    sys.argv[:] = program
    try:
        if is_module:
            runpy.run_module(program[0], run_name="__main__", alter_sys=True)
        else:
            _run_script(program[0])
    except Exception as error:  # noqa: BLE001 - shown as Python shows it, without the frames of this module
        traceback = error.__traceback__
        while traceback and traceback.tb_frame.f_code.co_filename in {__file__, "<frozen runpy>"}:
            traceback = traceback.tb_next
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        sys.exit(1)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False  # a handler of the script would say it again


def _tell(folder: tempfile.TemporaryDirectory[str]) -> None:
    with folder:
        print(table_of(Path(folder.name, CALLS)), file=sys.stderr)  # noqa: T201 - the report that was asked for


def _run_script(name: str) -> None:
    """Run a script as the module ``__main__``, with its folder the first to import from."""
    path = os.path.abspath(name)  # noqa: PTH100 - as Python does, links are not followed here
    if not sys.flags.safe_path:
        sys.path[0] = str(Path(path).resolve().parent)
    module = types.ModuleType("__main__")
    vars(module).update(__file__=path, __builtins__=builtins)
    sys.modules["__main__"] = module
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - its purpose


if __name__ == "__main__":
    main()
