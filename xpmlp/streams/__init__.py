"""Data larger than memory: examples that are read from disk by rows, while others are trained on.

docs/streams.md says in what order they come, and what memory they take.
"""

from xpmlp.streams._data import StreamedData, is_streamed, load_stream
from xpmlp.streams._open import open_source
from xpmlp.streams._parts import Part
from xpmlp.streams._source import Source
from xpmlp.streams._stream import CHUNK_BYTES, Stream

__all__ = ["CHUNK_BYTES", "Part", "Source", "Stream", "StreamedData", "is_streamed", "load_stream", "open_source"]
