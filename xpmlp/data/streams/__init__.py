"""Data larger than memory: examples that are read from disk by rows, while others are trained on.

docs/streams.md says in what order they come, and what memory they take.
"""

from xpmlp.data.streams.formats import is_streamed, open_source
from xpmlp.data.streams.load import StreamedData, load_stream
from xpmlp.data.streams.source import Part, Source
from xpmlp.data.streams.stream import CHUNK_BYTES, Stream
from xpmlp.data.streams.tables import is_large_table, load_table_stream

__all__ = [
    "CHUNK_BYTES",
    "Part",
    "Source",
    "Stream",
    "StreamedData",
    "is_large_table",
    "is_streamed",
    "load_stream",
    "load_table_stream",
    "open_source",
]
