"""Links to files of the project, as the code host follows them, lead to pages of the site.

The pages of ``docs/`` link to code, tests and READMEs by relative paths. Here a link to a page becomes one to its
document, and one to any other file a link to a page of its own under ``source/``, at the line of what the link names.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

__all__ = ["link_to_object", "setup"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCHEME = "source:"
LINK = re.compile(r"(?<!!)(?P<text>\[(?:`(?P<name>[\w.]+)`)?[^\]]*\])\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
# Documents that are made of a file outside of docs/, or of one whose name Sphinx keeps for itself.
DOCUMENTS = {
    ROOT / "README.md": "/index.md",
    ROOT / "CHANGELOG.md": "/changelog.md",
    ROOT / "CONTRIBUTING.md": "/contributing.md",
    DOCS / "gallery": "/examples/index.rst",
    **{readme: f"/wings/{readme.parent.name}.md" for readme in (ROOT / "xpmlp").glob("*/README.md")},
}


@functools.cache
def _lines(file: Path) -> dict[str, int]:
    """Give the line of everything that a Python file defines, by its name and, in a class, by `Class.name`."""
    found = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[prefix + node.name] = node.lineno
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            found.update({prefix + target.id: node.lineno for target in targets if isinstance(target, ast.Name)})

    visit(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return found


def _target(folder: Path, link: re.Match[str]) -> str:
    path = Path(folder, link["path"]).resolve()
    if path.is_dir() and path not in DOCUMENTS:
        path /= "README.md" if (path / "README.md").exists() else "__init__.py"
    anchor = link["anchor"] or ""
    if path in DOCUMENTS:
        return DOCUMENTS[path] + anchor
    if path.suffix in {".ipynb", ".md"} and path.is_relative_to(DOCS):
        return f"/{path.relative_to(DOCS)}{anchor}"
    if path.parent == DOCS / "gallery":
        return f"/examples/{path.stem}.rst"
    if link["name"] and path.suffix == ".py":
        name = link["name"].removeprefix(f"{path.stem}.")
        anchor = f"#L-{_lines(path)[name]}" if name in _lines(path) else ""
    return f"{SCHEME}{path.relative_to(ROOT)}{anchor}"


def _with_documents_for_files(text: str, folder: Path) -> str:
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [LINK.sub(lambda link: f"{link['text']}({_target(folder, link)})", part) for part in parts[::2]]
    return "".join(parts)


def _read_document(app: Sphinx, docname: str, content: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if path.suffix == ".md":
        content[0] = _with_documents_for_files(content[0], path.parent)


def _read_included(app: Sphinx, path: Path, _parent: str, content: list[str]) -> None:
    file = Path(app.srcdir, path).resolve()
    if file.suffix == ".md":
        content[0] = _with_documents_for_files(content[0], file.parent)


def link_to_object(domain: str, info: dict[str, str]) -> str | None:
    """Give the place of an object's definition, as `linkcode_resolve` of Sphinx wants it."""
    found = importlib.import_module(info["module"])
    for name in info["fullname"].split("."):
        found = getattr(found, name, None)
    try:
        found = inspect.unwrap(getattr(found, "fget", None) or found)
        file, line = Path(inspect.getsourcefile(found)), inspect.getsourcelines(found)[1]
    except (OSError, TypeError):  # an attribute, or what a dataclass writes by itself, has no lines of its own
        return None
    return f"{SCHEME}{file.relative_to(ROOT)}#L-{line}" if domain == "py" and file.is_relative_to(ROOT) else None


def _references(doctree: nodes.document) -> Iterator[nodes.reference]:
    return (node for node in doctree.findall(nodes.reference) if node.get("refuri", "").startswith(SCHEME))


def _remember_files(app: Sphinx, doctree: nodes.document) -> None:
    files = {node["refuri"].removeprefix(SCHEME).partition("#")[0] for node in _references(doctree)}
    app.env.source_files = getattr(app.env, "source_files", set()) | files


def _lead_to_pages(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in _references(doctree):
        path, mark, anchor = node["refuri"].removeprefix(SCHEME).partition("#")
        node["refuri"] = app.builder.get_relative_uri(docname, f"source/{path}") + mark + anchor
        node["internal"] = True


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    formatter = HtmlFormatter(lineanchors="L", anchorlinenos=True, linenos="inline", cssclass="highlight")
    for path in sorted(app.env.source_files):
        text = (ROOT / path).read_text(encoding="utf-8")
        body = highlight(text, get_lexer_for_filename(path), formatter)
        yield f"source/{path}", {"title": path, "body": f"<h1>{path}</h1>{body}"}, "page.html"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the rewriting of links and the pages that they lead to."""
    app.connect("source-read", _read_document)
    app.connect("include-read", _read_included)
    app.connect("doctree-read", _remember_files, priority=900)  # after the links of the reference to its source
    app.connect("doctree-resolved", _lead_to_pages)
    app.connect("html-collect-pages", _pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
