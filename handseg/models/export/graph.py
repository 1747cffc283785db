"""Export of a torch module as an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handseg.runtime.files import write_atomic

_INLINE = 1_500_000_000
"""Maximum bytes of a graph in a single file; a protocol buffer holds at most 2 GiB."""


def write_graph(
    file: Path,
    module: torch.nn.Module,
    inputs: dict[str, Any],
    shapes: dict[str, Any],
    outputs: list[str],
    input_names: list[str] | None = None,
    metadata: dict[str, str] | None = None,
    in_half: bool = False,
) -> None:
    """Write `module` as an ONNX graph; weights exact in half precision are stored in it.

    Args:
        file: the file to write; weights of large models go into a second file beside it.
        module: in float32, on the CPU.
        inputs: example arguments by name.
        shapes: dynamic axes of each argument, as `torch.export` takes them.
        outputs: names of the outputs.
        input_names: names of the graph's inputs, if an argument is a list; None uses the
            arguments' names.
        metadata: properties to store in the file.
        in_half: round all weights to half precision; arithmetic stays in float32.
    """
    import onnx
    from onnxscript import optimizer

    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            module.eval(),
            kwargs=inputs,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=input_names or list(inputs),
            output_names=outputs,
            verbose=False,
            optimize=False,
        )
    assert program is not None
    # The exporter's own optimisation would merge weights. ONNX Runtime does that when it loads a
    # graph, and unchanged weights can be stored in half precision.
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    graph = program.model_proto
    _merge_pointwise(graph.graph)
    _store_in_half(graph, in_half)
    _forget_sources(graph.graph)
    if metadata is not None:
        onnx.helper.set_model_props(graph, metadata)
    weights = f"{file.name}.data" if graph.ByteSize() > _INLINE else None
    with write_atomic(file) as temporary:
        if weights is None:
            onnx.save_model(graph, temporary)
        else:
            onnx.save_model(
                graph, temporary, save_as_external_data=True, location=weights, size_threshold=1024
            )


def _merge_pointwise(graph: Any) -> None:
    """Merge two successive 1 x 1 convolutions where only the second uses the first's output.

    The necks of SAM 2 and its relatives widen fine features to 256 channels and narrow them again.
    """
    from onnx import numpy_helper

    weights = {one.name: one for one in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    takers = Counter(name for node in graph.node for name in node.input)
    takers.update(output.name for output in graph.output)
    for second in list(graph.node):
        first = makers.get(second.input[0]) if second.input else None
        if first is None or takers[second.input[0]] > 1:
            continue
        if not (_is_pointwise(first, weights) and _is_pointwise(second, weights)):
            continue
        (inner, inner_bias), (outer, outer_bias) = (
            [numpy_helper.to_array(weights[name]).astype(np.float64) for name in node.input[1:]]
            for node in (first, second)
        )
        factors = np.tensordot(outer, inner[..., 0, 0], (1, 0)).transpose(0, 3, 1, 2)
        merged = {
            f"{second.input[1]}.merged": factors,
            f"{second.input[2]}.merged": outer[..., 0, 0] @ inner_bias + outer_bias,
        }
        for name, values in merged.items():
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        second.input[:] = [first.input[0], *merged]
        graph.node.remove(first)
    used = {name for node in graph.node for name in node.input}
    for weight in list(graph.initializer):
        if weight.name not in used:
            graph.initializer.remove(weight)


def _is_pointwise(node: Any, weights: dict[str, Any]) -> bool:
    """Whether `node` is a 1 x 1 convolution with a bias, stride 1 and one group."""
    return (
        node.op_type == "Conv"
        and len(node.input) == 3
        and all(name in weights for name in node.input[1:])
        and list(weights[node.input[1]].dims[2:]) == [1, 1]
        and all(
            set(one.ints or [one.i]) <= ({0} if one.name == "pads" else {1})
            for one in node.attribute
            if one.name != "auto_pad"
        )
    )


def _store_in_half(graph: Any, rounded: bool) -> None:
    """Store float32 weights in float16, and cast them back in the graph.

    Weights that would lose precision are left alone, unless `rounded` is set.
    """
    import onnx
    from onnx import numpy_helper

    casts = []
    for weight in graph.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        exact = np.array_equal(half.astype(np.float32), values)
        if values.size < 64 or not (exact or rounded):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _forget_sources(graph: Any) -> None:
    """Drop intermediate shapes, which loaders infer, and the nodes' origin in Python."""
    del graph.value_info[:]
    for node in graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress messages and deprecation warnings within torch."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
