"""Tables of users: files and frames whose columns hold numbers, categories, dates and texts."""

from xpmlp.data.tables.reader import read_table
from xpmlp.data.tables.table import KINDS, Column, Table

__all__ = ["KINDS", "Column", "Table", "read_table"]
