"""An ONNX graph as it is built."""

from __future__ import annotations

from typing import Any

import numpy as np


class Graph:
    """Inputs, nodes and constants of a graph in the floating dtype of a network. Values are known by their names."""

    def __init__(self, onnx: Any, dtype: str) -> None:
        self._helper, self._from_array = onnx.helper, onnx.numpy_helper.from_array
        self.dtype = dtype
        self.inputs: dict[str, Any] = {}
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def input(self, name: str, dtype: str, columns: int = 1) -> str:
        """Add an input, (n, columns), before what has a name of its own; return its name."""
        self.inputs[name] = self._helper.make_tensor_value_info(name, self.type_of(dtype), ["n", columns])
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its value: the one given, or one of its own."""
        name = name or self._free(f"{operator}{len(self.nodes)}")
        self.nodes.append(self._helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add a constant, numbers or strings, and return its name."""
        name = self._free(name)
        self.constants[name] = self._from_array(values.astype(object) if values.dtype.kind == "U" else values, name)
        return name

    def _free(self, name: str) -> str:
        """Return a name, changed where an input, such as a column of a table, has it."""
        while name in self.inputs:
            name = f"{name}_"
        return name

    def number(self, value: float) -> str:
        """Add a number in the dtype of the network, and return its name."""
        return self.constant(f"number_{value:g}", np.array(value, self.dtype))

    def cast(self, x: str, dtype: str) -> str:
        """Add a change of dtype."""
        return self.add("Cast", x, to=self.type_of(dtype))

    def type_of(self, dtype: str | np.dtype[Any]) -> int:
        """Return ONNX's number of a dtype."""
        found: int = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return found
