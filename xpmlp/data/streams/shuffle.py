"""The order of an epoch: blocks in a drawn order fill one chunk after the other, whose rows are then permuted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xpmlp.common.rng import make_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

Segments = list[tuple[int, int]]


class Chunk(NamedTuple):
    """What is read into memory at once."""

    segments: Segments  # rows of the source, from one up to the other, in the order in which they are read
    order: np.ndarray  # in which the rows, numbered as they are read, are taken


def shuffled(blocks: np.ndarray, rows: int, seed: int, epoch: int) -> Iterator[Chunk]:
    """Give the chunks of an epoch, each of `rows` rows but the last.

    The blocks come in a permutation that seed and epoch decide, and the rows of each chunk in another one: all
    permutations are as likely as each other. So two examples of one block are at most in neighbouring chunks, and those
    of two blocks in any two.
    """
    rng = make_generator(seed, "order", epoch)
    for segments in cut(blocks[rng.permutation(len(blocks))], rows):
        yield Chunk(segments, rng.permutation(sum(stop - start for start, stop in segments)))


def cut(blocks: np.ndarray, rows: int) -> Iterator[Segments]:
    """Cut blocks, one after the other, into lists of segments of `rows` rows together; the last list may have fewer.

    `blocks`, (blocks, 2), says where each begins and ends. One may be cut, and end up in two lists or more.
    """
    segments: Segments = []
    room = rows
    for begin, end in blocks.tolist():
        start = begin
        while start < end:
            stop = min(end, start + room)
            segments.append((start, stop))
            room -= stop - start
            start = stop
            if not room:
                yield segments
                segments, room = [], rows
    if segments:
        yield segments
