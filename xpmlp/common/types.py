"""Names for what has no common static type: the arrays and namespaces of any array library."""

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard."""

Namespace: TypeAlias = Any
"""The functions of that library, as the standard has them."""
