"""What an ONNX file is, and all that keeps it from being a backbone. Runs in the limited process alone: the parser is native code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from cryptml.errors import printable
from cryptml.networks.backbones.limits import IR_VERSIONS, MOST_NODES, OPSETS, SIDES

OPERATORS = frozenset(
    """
    Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv DequantizeLinear Div
    Dropout Elu Equal Erf Exp Expand Flatten Floor Gather Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GroupNormalization
    HardSigmoid HardSwish Identity InstanceNormalization LRN LayerNormalization LeakyRelu Less Log LogSoftmax LpNormalization
    LpPool MatMul Max MaxPool Mean Min Mish Mul Neg Not Or PRelu Pad Pow QuantizeLinear Reciprocal ReduceL1 ReduceL2 ReduceMax
    ReduceMean ReduceMin ReduceSum Relu Reshape Resize Round Selu Shape Sigmoid Sign Slice Softmax Softplus Softsign Split Sqrt
    Squeeze Sub Sum Tanh ThresholdedRelu Tile Transpose Unsqueeze Where
    """.split()  # noqa: SIM905 (80 lines otherwise)
)
"""What networks of pictures are made of: same input, same output, and no loops. Others are refused by name."""

DOMAINS = ("", "ai.onnx")
MOST_NAMED = 10


@dataclass(frozen=True)
class Facts:
    """What a usable file takes.

    Attributes:
        channels: 1 or 3.
        side: Rows and columns of its input; None where it takes any.
        batched: Whether it takes several regions at once.
        parameters: Numbers in its weights.
        opset: Version of its operators.
    """

    channels: int
    side: int | None
    batched: bool
    parameters: int
    opset: int


def inspect(data: bytes) -> tuple[Facts | None, list[str]]:
    """Return what a file takes, or all problems that it has.

    Args:
        data: The whole file.
    """
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # noqa: BLE001 (protobuf's, whose errors have no base but this)
        return None, ["it is no ONNX file, or it is damaged"]
    if not model.graph.node:
        return None, ["it holds no operators: it is no ONNX file, or it is damaged"]
    problems = list(_problems(model))
    if any(_elements(each) > len(data) for each in _tensors(model)):
        problems.append("it says that it has more weights than its file has bytes; it is damaged")
    if problems:
        return None, problems
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        said = next(iter(str(error).splitlines()), "")
        return None, [f"it is malformed ({printable(said)[:200]})"]
    taken = _inputs(model)[0].type.tensor_type.shape.dim
    side = taken[2].dim_value or None
    facts = Facts(
        channels=taken[1].dim_value,
        side=side,
        batched=taken[0].dim_value != 1,
        parameters=sum(_elements(each) for each in model.graph.initializer),
        opset=next(each.version for each in model.opset_import if each.domain in DOMAINS),
    )
    return facts, []


def _problems(model: ModelProto) -> Iterator[str]:
    if not IR_VERSIONS[0] <= model.ir_version <= IR_VERSIONS[1]:
        yield f"its format has version {model.ir_version}, which is not {IR_VERSIONS[0]} to {IR_VERSIONS[1]}"
    yield from _opset_problems(model)
    if model.functions:
        yield "it defines functions of its own; export it without them"
    if model.training_info:
        yield "it holds what a training needs; export it for inference"
    if model.graph.sparse_initializer:
        yield "it holds sparse weights; export it with dense ones"
    if len(model.graph.node) > MOST_NODES:
        yield f"it has {len(model.graph.node)} operators, at most {MOST_NODES} are run"
    else:
        yield from _node_problems(model.graph.node)
    if any(map(_is_external, _tensors(model))):
        yield "it keeps weights in other files; export it with all of them inside"
    yield from _input_problems(_inputs(model))
    if len(model.graph.output) != 1 or not _is_float(model.graph.output[0]):
        yield f"it has {len(model.graph.output)} outputs where one tensor of float32 is needed; cut it behind its features"


def _opset_problems(model: ModelProto) -> Iterator[str]:
    foreign = sorted({each.domain for each in model.opset_import} - set(DOMAINS))
    if foreign:
        yield f"it uses operators of {_listed(foreign)}; only those of ONNX itself are run"
    own = [each.version for each in model.opset_import if each.domain in DOMAINS]
    if len(own) != 1 or not OPSETS[0] <= own[0] <= OPSETS[1]:
        yield f"its operators have the versions {_listed(map(str, own))}; one of {OPSETS[0]} to {OPSETS[1]} is read"


def _node_problems(nodes: Iterable[NodeProto]) -> Iterator[str]:
    unknown = {
        each.op_type if each.domain in DOMAINS else f"{each.domain}.{each.op_type}"
        for each in nodes
        if each.domain not in DOMAINS or each.op_type not in OPERATORS
    }
    if unknown:
        yield f"it has the operators {_listed(sorted(unknown))}, which are not run: loops, chance and what is not of ONNX itself"
    graphs = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    if any(each.type in graphs for node in nodes for each in node.attribute):
        yield "it holds graphs inside of operators, which are not run"
    learning = [
        node.op_type
        for node in nodes
        if (node.op_type == "Dropout" and len(node.input) > 2 and node.input[2])
        or any(each.name == "training_mode" and each.i for each in node.attribute)
    ]
    if learning:
        yield f"its operators {_listed(sorted(set(learning)))} are set to learn; export it for inference"


def _input_problems(inputs: list[ValueInfoProto]) -> Iterator[str]:
    needed = "one input of float32, (batch, 1 or 3, side, side), is needed"
    if len(inputs) != 1 or not _is_float(inputs[0]):
        yield f"it has {len(inputs)} inputs, or of another type: {needed}"
        return
    shape = inputs[0].type.tensor_type.shape.dim
    sizes = [each.dim_value for each in shape]
    if len(sizes) != 4 or sizes[0] not in (0, 1) or sizes[1] not in (1, 3) or sizes[2] != sizes[3]:
        told = ", ".join(str(each.dim_value or printable(each.dim_param) or "any")[:20] for each in shape[:8])
        yield f"its input has the shape ({told}): {needed}"
    elif sizes[2] and not SIDES[0] <= sizes[2] <= SIDES[1]:
        yield f"its input has a side of {sizes[2]}, which is not {SIDES[0]} to {SIDES[1]}"


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs but for weights, which old files list among them."""
    weights = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in weights]


def _is_float(value: ValueInfoProto) -> bool:
    return value.type.HasField("tensor_type") and value.type.tensor_type.elem_type == TensorProto.FLOAT


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for each in node.attribute:
            if each.HasField("t"):
                yield each.t
            yield from each.tensors


def _is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)


def _elements(tensor: TensorProto) -> int:
    count = 1
    for each in tensor.dims:
        count *= each
    return count


def _listed(names: Iterable[Any]) -> str:
    found = [printable(str(each))[:60] for each in names]
    more = len(found) - MOST_NAMED
    return (", ".join(found[:MOST_NAMED]) or "none") + (f" and {more} more" if more > 0 else "")
