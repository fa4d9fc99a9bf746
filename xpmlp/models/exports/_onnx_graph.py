"""An ONNX graph as it is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Graph:
    """Inputs, nodes and constants of a graph in the floating dtype of a network. Values are known by their names."""

    def __init__(self, onnx: Any, dtype: str) -> None:
        self._helper, self._from_array = onnx.helper, onnx.numpy_helper.from_array
        self.dtype = dtype
        self.inputs: dict[str, Any] = {}
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._numbers: dict[tuple[str, bytes], str] = {}
        self.labels: dict[str, np.ndarray] = {}  # what constants of these arrays, or of views of them, are called

    def input(self, name: str, dtype: Any, shape: Any = ("n", 1), default: np.ndarray | None = None) -> str:
        """Add an input, before what has a name of its own; return its name. One with a default may be left out."""
        if name in self.inputs:
            raise InputError(
                f"column {name!r} has the name of another input of the graph: give it another one, and train anew."
            )
        self.inputs[name] = self.info(name, dtype, shape)
        if default is not None:
            self.constants[name] = self._from_array(default, name)
        return name

    def info(self, name: str, dtype: Any, shape: Any) -> Any:
        """Describe an input or an output; a length that is no number is the free one."""
        lengths = [length if isinstance(length, int) else "n" for length in shape]
        return self._helper.make_tensor_value_info(name, self.type_of(dtype), lengths)

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

    def unnamed(self, values: np.ndarray) -> str:
        """Add a constant that has a label or needs no name, a single number once; return its name."""
        if values.ndim == 0:
            key = values.dtype.str, values.tobytes()
            if key not in self._numbers:
                self._numbers[key] = self.constant(f"constant{len(self.constants)}", values)
            return self._numbers[key]
        labels = (label for label, own in self.labels.items() if np.may_share_memory(values, own))
        label = next(labels, "")
        return self.constant(label if label not in {"", *self.constants} else f"constant{len(self.constants)}", values)

    def _free(self, name: str) -> str:
        """Return a name, changed where an input, such as a column of a table, has it."""
        while name in self.inputs:
            name = f"{name}_"
        return name

    def cast(self, x: str, dtype: str | np.dtype[Any]) -> str:
        """Add a change of dtype."""
        return self.add("Cast", x, to=self.type_of(dtype))

    def type_of(self, dtype: str | np.dtype[Any]) -> int:
        """Return ONNX's number of a dtype."""
        found: int = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return found

    def prune(self, outputs: Sequence[str]) -> None:
        """Drop the nodes and constants that no output needs, and name what is made as the outputs are called."""
        made = {node.output[0] for node in self.nodes} - set(outputs)
        ends = {node.input[0]: node.output[0] for node in self.nodes if node.op_type == "Identity"}
        names = {value: end for value, end in ends.items() if value in made and end in outputs}
        for node in self.nodes:
            if node.op_type == "Identity" and names.get(node.input[0]) == node.output[0]:
                node.output[0] = ""  # what it gave is made under its name
            for side in (node.input, node.output):
                side[:] = [names.get(name, name) for name in side]
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {name: values for name, values in self.constants.items() if name in needed}
