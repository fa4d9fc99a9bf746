"""Data larger than memory: examples that are read from disk by rows, while others are trained on.

docs/streams.md says in what order they come, and what memory they take.
"""

from xpmlp.data.streams._data import StreamedData, is_streamed, load_stream
from xpmlp.data.streams._open import open_source
from xpmlp.data.streams._parts import Part
from xpmlp.data.streams._source import Source
from xpmlp.data.streams._stream import CHUNK_BYTES, Stream

__all__ = ["CHUNK_BYTES", "Part", "Source", "Stream", "StreamedData", "is_streamed", "load_stream", "open_source"]
