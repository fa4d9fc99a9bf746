"""Tables of users: files and frames whose columns hold numbers, categories, dates and texts."""

from xpmlp.data.tables.files import STANDARD_INPUT, table_suffix
from xpmlp.data.tables.kinds import plain_numbers
from xpmlp.data.tables.reader import read_table
from xpmlp.data.tables.table import KINDS, Column, Table

__all__ = ["KINDS", "STANDARD_INPUT", "Column", "Table", "plain_numbers", "read_table", "table_suffix"]
