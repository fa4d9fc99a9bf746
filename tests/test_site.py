"""The documentation site: it builds without a warning, its links lead somewhere, and its pages keep their promises."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys

import pytest
from links import ROOT

import check_site
import xpmlp

DOCS = ROOT / "docs"
START = (DOCS / "start.md").read_text(encoding="utf-8")


def test_the_site_builds_without_a_warning_and_all_its_links_lead_somewhere(tmp_path):
    pytest.importorskip("sphinx_gallery", reason="the site needs pip install '.[docs]'")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own pages
    assert built.returncode == 0, built.stderr
    assert list(check_site.problems(tmp_path)) == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('<a href="other.html#here">x</a>', []),
        ('<a href="other.html#there">x</a>', ["page.html: other.html#there leads to no anchor"]),
        ('<a href="gone.html">x</a>', ["page.html: gone.html leads to no file"]),
        ('<img src="gone.png">', ["page.html: gone.png leads to no file"]),
        ('<a href="https://example.org">x</a>', []),
        ('<script src="https://a.org/b.js"></script>', ["page.html: https://a.org/b.js is loaded from elsewhere"]),
        ('<a href="#top">x</a><a href="#nowhere">x</a>', ["page.html: #nowhere leads to no anchor"]),
    ],
)
def test_links_of_the_site_that_lead_nowhere_and_what_it_loads_from_elsewhere_are_found(tmp_path, body, found):
    (tmp_path / "page.html").write_text(body)
    (tmp_path / "other.html").write_text('<p id="here">')
    assert list(check_site.problems(tmp_path)) == found
    assert check_site.main([str(tmp_path)]) == bool(found)


def test_a_folder_without_pages_is_no_site(tmp_path):
    assert check_site.main([str(tmp_path)]) == 1


def test_the_citation_names_the_version_that_is_built():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, flags=re.MULTILINE) == [xpmlp.__version__]


def test_the_reference_has_every_public_name_once():
    pages = "".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "reference").glob("*.md")))
    listed = re.findall(r"^ {3}(\w+)$", pages, flags=re.MULTILINE) + re.findall(
        r"^## (\w+)$", pages, flags=re.MULTILINE
    )
    assert sorted(listed) == sorted({*xpmlp.__all__} - {"__version__"})


def test_the_python_of_the_start_page_runs_and_prints_what_the_page_shows(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="the page exports to ONNX")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```$", START, flags=re.DOTALL | re.MULTILINE):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "start.md", "exec"), names)  # noqa: S102 - it is our own page
        assert printed.getvalue().splitlines() == re.findall(r"^# -> (.+)$", code, flags=re.MULTILINE)
    assert (tmp_path / "digits.onnx").exists()
