"""Files of any bytes: each reader loads them or refuses them by an error of ours, whatever they are.

Hypothesis plays the fuzzer here, on the targets of `scripts/fuzz_files.py`, which feeds them with many more.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzzing.targets import TARGETS

QUICK = settings(deadline=None, max_examples=75)


@st.composite
def changed(draw, seeds):
    """Draw a valid content with up to three changes: bytes replaced, put in, cut out, repeated, or the end cut off."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.sampled_from([start, start + 1, start + 4, len(content)]))
        piece = draw(st.sampled_from([b"", content[start:end] * 2, b"\0\0\0\x80", b"\xff" * 8]) | st.binary(max_size=4))
        content = content[:start] + piece + content[end:]
    return content


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return TARGETS[request.param]


def test_the_contents_that_fuzzing_starts_from_are_no_finding(target, scratch):
    seeds = target.seeds(scratch)
    assert seeds
    for content in seeds:
        target.read(content, scratch)


@given(data=st.data())
@QUICK
def test_changed_files_load_or_are_refused(target, scratch, data):
    target.read(data.draw(changed(target.seeds(scratch))), scratch)


@given(content=st.binary(max_size=80) | st.text(',\n\r"\0 01e.-ax{}[]:', max_size=80).map(str.encode))
@example(content=b"\x0b,\x80")  # a table without rows
@QUICK
def test_arbitrary_bytes_load_or_are_refused(target, scratch, content):
    target.read(content, scratch)
