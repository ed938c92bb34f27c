"""ONNX files for tests: one that is usable, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

FEATURES = 6


def usable(
    side: int | str = 16, channels: int = 1, batch: int | str = "batch", opset: int = 17, seed: int = 0
) -> ModelProto:
    """A convolution, a rectifier and averages: (batch, FEATURES)."""
    random = np.random.default_rng(seed)
    weight = numpy_helper.from_array(random.normal(size=(FEATURES, channels, 3, 3)).astype(np.float32), "weight")
    nodes = [
        helper.make_node("Conv", ["regions", "weight"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["averages"]),
        helper.make_node("Flatten", ["averages"], ["features"]),
    ]
    return model_of(nodes, [weight], side=side, channels=channels, batch=batch, opset=opset)


def model_of(
    nodes: list[Any],
    weights: list[TensorProto],
    *,
    side: int | str = 16,
    channels: int = 1,
    batch: int | str = "batch",
    opset: int = 17,
) -> ModelProto:
    """A model from (batch, channels, side, side) ``regions`` to ``features``."""
    taken = helper.make_tensor_value_info("regions", TensorProto.FLOAT, [batch, channels, side, side])
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "features"])
    graph = helper.make_graph(nodes, "graph", [taken], [given], initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _external(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    tensor.ClearField("raw_data")


def _external_in_constant(model: ModelProto) -> None:
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret"
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))


def _custom(model: ModelProto) -> None:
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def _loop(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


def _hidden_graph(model: ModelProto) -> None:
    model.graph.node[1].attribute.append(helper.make_attribute("body", helper.make_graph([], "body", [], [])))


def _chance(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["chance"], shape=[4]))


def _function(model: ModelProto) -> None:
    model.functions.append(helper.make_function("", "Own", ["x"], ["y"], [], [helper.make_opsetid("", 17)]))


def _two_inputs(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def _text_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def _two_outputs(model: ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["b", "c", "h", "w"]))


def _five_channels(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5


def _oblong(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 20


def _huge_side(model: ModelProto) -> None:
    for place in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = 100_000


def _learning(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Dropout", ["maps", "", "weight"], ["dropped"]))


def _old(model: ModelProto) -> None:
    model.opset_import[0].version = 5


def _future(model: ModelProto) -> None:
    model.ir_version = 99


def _no_such_value(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "nothing"


def _wrong_weights(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


SPOILED: dict[str, tuple[Callable[[ModelProto], None], str]] = {
    "weights elsewhere": (_external, "keeps weights in other files"),
    "a constant elsewhere": (_external_in_constant, "keeps weights in other files"),
    "a custom operator": (_custom, "com.example.Relu"),
    "a loop": (_loop, "the operators Loop, which are not run"),
    "a graph inside of an operator": (_hidden_graph, "graphs inside of operators"),
    "chance": (_chance, "the operators RandomNormal, which are not run"),
    "a function": (_function, "functions of its own"),
    "two inputs": (_two_inputs, "it has 2 inputs"),
    "text": (_text_input, "one input of float32"),
    "two outputs": (_two_outputs, "it has 2 outputs"),
    "five channels": (_five_channels, "its input has the shape (batch, 5, 16, 16)"),
    "an oblong input": (_oblong, "its input has the shape (batch, 1, 16, 20)"),
    "a huge input": (_huge_side, "a side of 100000, which is not 8 to 512"),
    "a training": (_learning, "Dropout are set to learn"),
    "an old operator set": (_old, "its operators have the versions 5"),
    "a future format": (_future, "its format has version 99"),
    "a value that is not there": (_no_such_value, "it is malformed"),
    "weights of another size": (_wrong_weights, "more weights than its file has bytes"),
}
"""What is done to a usable file, and what is said of it."""


def expanding() -> ModelProto:
    """Takes little and makes terabytes of it."""
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["much"]),
        helper.make_node("ReduceSum", ["much"], ["sum"], keepdims=0),
        helper.make_node("Flatten", ["regions"], ["flat"]),
        helper.make_node("Add", ["flat", "sum"], ["features"]),
    ]
    return model_of(nodes, [shape])


def growing() -> ModelProto:
    """Holds more and more, each step within what could be."""
    repeats = numpy_helper.from_array(np.array([1, 64], np.int64), "repeats")
    nodes = [helper.make_node("Flatten", ["regions"], ["v0"])]
    nodes += [helper.make_node("Tile", [f"v{step}", "repeats"], [f"v{step + 1}"]) for step in range(5)]
    nodes.append(helper.make_node("ReduceSum", ["v5"], ["features"], keepdims=1))
    return model_of(nodes, [repeats])


def not_finite() -> ModelProto:
    """Gives what is no number."""
    nodes = [
        helper.make_node("Flatten", ["regions"], ["flat"]),
        helper.make_node("Sub", ["flat", "flat"], ["nothing"]),
        helper.make_node("Div", ["nothing", "nothing"], ["features"]),
    ]
    return model_of(nodes, [])


def too_many_features() -> ModelProto:
    """Gives more than is read."""
    return model_of([helper.make_node("Flatten", ["regions"], ["features"])], [], side=128)


def bytes_of(model: ModelProto) -> bytes:
    """The file's bytes."""
    return bytes(model.SerializeToString())


def checked(model: ModelProto) -> ModelProto:
    """The same, if the format's own checker takes it."""
    onnx.checker.check_model(model)
    return model
