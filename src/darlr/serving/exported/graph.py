"""The networks of a recommender as an ONNX graph, built from its weights.

Inputs are those of B sessions: `items` int64 [B, w] and `feedback` float32 [B, w] as `Recommender.observe` gives them,
`own` [B, d], the users' part of the state, and `preference` [B, d1], scaled as in the state; the last two only where
the state has such parts. The output is `logits` [B, I] without the offset, or, with slates, `hidden` [B, h], the input
of the actor's last layer.
"""

from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from darlr.agents.recommender import Recommender
from darlr.agents.tracker import Layer, TransformerTracker
from darlr.errors import ConfigError

OPSET, FORMAT = 18, 9  # old enough for every ONNX Runtime of the last years
FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64


class Graph:
    """Nodes and constants under numbered names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Tensor) -> str:
        """The name of a constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.detach().contiguous().numpy(), name))
        return name

    def whole(self, *values: int) -> str:
        """The name of a constant list of whole numbers."""
        return self.constant(torch.tensor(values))

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """The name of the output of a new node."""
        name = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def linear(self, x: str, weight: Tensor, bias: Tensor, name: str = "") -> str:
        """x weight^T + bias, for x of any number of dimensions."""
        return self.add("Add", self.add("MatMul", x, self.constant(weight.T)), self.constant(bias), name=name)

    def rows(self, x: str, weight: Tensor, bias: Tensor, name: str = "") -> str:
        """The same for x [B, n]."""
        return self.add("Gemm", x, self.constant(weight), self.constant(bias), name=name, transB=1)

    def normed(self, x: str, layer: nn.LayerNorm) -> str:
        """A layer norm over the last dimension."""
        scale, offset = self.constant(layer.weight), self.constant(layer.bias)
        return self.add("LayerNormalization", x, scale, offset, epsilon=layer.eps)

    def newest(self, x: str) -> str:
        """The last position of [B, w, d], as [B, 1, d]."""
        return self.add("Slice", x, self.whole(-1), self.whole(1 << 31), self.whole(1))


def build_graph(recommender: Recommender, *, hidden: bool) -> bytes:
    """The graph as a file's bytes. hidden: whether its output is the input of the actor's last layer.

    Raises ConfigError for a recommender with products in bfloat16, which the runtime would round otherwise.
    """
    config, graph = recommender.config, Graph()
    if config.precision != "float32":
        raise ConfigError(
            f"option onnx: a policy trained with recommender.precision {config.precision} cannot be exported; train "
            "with float32, or export without onnx"
        )
    with torch.no_grad():
        state = [_tracked(graph, recommender)]
        inputs = [("items", WHOLE, config.tracker.window), ("feedback", FLOAT, config.tracker.window)]
        if config.user_in_state:
            state.append("own")
            inputs.append(("own", FLOAT, config.tracker.dim))
        if config.belief:
            state.append("preference")
            inputs.append(("preference", FLOAT, recommender.features.shape[1]))
        x = graph.add("Concat", *state, axis=1)
        for layer in recommender.heads.trunk:
            assert isinstance(layer, nn.Linear)
            x = graph.add("Relu", graph.rows(x, layer.weight, layer.bias))
        actor = recommender.heads.actor
        if hidden:
            graph.add("Identity", x, name="hidden")
        else:
            graph.rows(x, actor.weight, actor.bias, name="logits")
    width = actor.weight.shape[1] if hidden else actor.weight.shape[0]
    outputs = [helper.make_tensor_value_info("hidden" if hidden else "logits", FLOAT, ["B", width])]
    given = [helper.make_tensor_value_info(name, kind, ["B", size]) for name, kind, size in inputs]
    made = helper.make_graph(graph.nodes, "recommender", given, outputs, graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT)
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString(deterministic=True)
    return found


def _tracked(graph: Graph, recommender: Recommender) -> str:
    """The tracker's output [B, d]."""
    tokens = recommender.tokens()
    known = graph.add("Max", "items", graph.whole(0))
    there = graph.add("Unsqueeze", graph.add("GreaterOrEqual", "items", graph.whole(0)), graph.whole(2))
    given = graph.add("Mul", graph.add("Unsqueeze", "feedback", graph.whole(2)), graph.constant(tokens.feedback))
    x = graph.add("Add", graph.add("Gather", graph.constant(tokens.items), known), given)  # [B, w, d]
    tracker = recommender.tracker
    if isinstance(tracker, TransformerTracker):
        return _transformer(graph, tracker, x, there)
    weight = graph.add("Cast", there, to=FLOAT)
    total = graph.add("ReduceSum", graph.add("Mul", x, weight), graph.whole(1), keepdims=0)
    count = graph.add("ReduceSum", weight, graph.whole(1), keepdims=0)
    return graph.add("Div", total, graph.add("Max", count, graph.constant(torch.ones(1))))


def _transformer(graph: Graph, tracker: TransformerTracker, x: str, there: str) -> str:
    """`TransformerTracker.forward`. x: the tokens [B, w, d]. there: [B, w, 1], which of them are not padding."""
    window = len(tracker.position)
    newest = torch.arange(window)[:, None] == window - 1
    begins = graph.add("And", graph.constant(newest), graph.add("Not", there))
    x = graph.add("Where", begins, graph.constant(tracker.begin), x)
    there = graph.add("Transpose", graph.add("Or", there, graph.constant(newest)), perm=[0, 2, 1])
    bias = graph.add("Where", there, graph.constant(torch.zeros(1)), graph.constant(torch.tensor([-torch.inf])))
    x = graph.add("Add", x, graph.constant(tracker.position.squeeze(1)))
    for depth, layer in enumerate(tracker.layers):
        assert isinstance(layer, Layer)
        normed = graph.normed(x, layer.norm_attention)
        asking = normed
        if depth == len(tracker.layers) - 1:
            asking, x = graph.newest(normed), graph.newest(x)
        x = graph.add("Add", x, _attended(graph, layer, asking, normed, bias))
        wide = graph.linear(graph.normed(x, layer.norm_feed), layer.widen.weight, layer.widen.bias)
        x = graph.add("Add", x, graph.linear(graph.add("Relu", wide), layer.narrow.weight, layer.narrow.bias))
    return graph.add("Squeeze", graph.normed(x, tracker.norm), graph.whole(1))


def _attended(graph: Graph, layer: Layer, asking: str, normed: str, bias: str) -> str:
    """`Layer.attend`, with the linear layers of each head folded as in `darlr.agents.fast.twins.Folded`."""
    of_query, of_key, of_value = layer.attention.weight.double().chunk(3)
    query_bias, _, value_bias = layer.attention.bias.double().chunk(3)
    out, size = layer.out.weight.double(), len(of_query) // layer.heads
    other = graph.add("Transpose", normed, perm=[0, 2, 1])
    parts = []
    for start in range(0, len(of_query), size):
        own = slice(start, start + size)
        share = size**-0.5
        ask, ask_bias = share * of_key[own].T @ of_query[own], share * query_bias[own] @ of_key[own]
        score = graph.add("MatMul", graph.linear(asking, ask.float(), ask_bias.float()), other)
        weight = graph.add("Softmax", graph.add("Add", score, bias), axis=-1)
        mixed = graph.add("MatMul", weight, normed)
        parts.append(graph.add("MatMul", mixed, graph.constant((out[:, own] @ of_value[own]).float().T)))
    offset = (layer.out.bias.double() + out @ value_bias).float()
    return graph.add("Sum", *parts, graph.constant(offset))
