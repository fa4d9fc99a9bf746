"""`docs/gpu.md` quotes messages that the code has."""

import ast
import re

import pytest
from links import ROOT

PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
ROWS = PAGE.partition("## When it fails")[2].partition("###")[0]
QUOTED = re.findall(r"^\| `([^`]+)` \|", ROWS, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def texts():
    """Every string of the package, the parts of formatted ones each for itself."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "xpmlp").rglob("*.py"))
    constants = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [" ".join(value.split()) for value in constants if isinstance(value, str)]


def test_the_page_has_a_table_of_messages():
    assert len(QUOTED) > 10


@pytest.mark.parametrize("message", QUOTED)
def test_a_message_that_is_quoted_is_in_the_code(message, texts):
    if message == "CuPy is not installed":  # "{title} is not installed"
        assert '"CuPy"' in (ROOT / "xpmlp" / "backends" / "cupy" / "backend.py").read_text(encoding="utf-8")
        message = "is not installed. Install it with:"
    assert any(message in text for text in texts)
