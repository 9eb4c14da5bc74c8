"""State trackers encode the last w tokens of a session, or of a selection, as one state vector (method.md section 2).

Positions are counted back from the newest token, padding is masked, and the state is the output at the newest position.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import dropout, layer_norm, linear

from darlr.agents.actor_critic import Affine
from darlr.agents.fast import twins
from darlr.agents.fast.twins import Folded
from darlr.options import TrackerConfig


class LayerWeights(NamedTuple):
    """The weights of a Transformer layer. folded: its attention with one head; None with several."""

    norm_attention: Affine
    folded: Folded | None
    norm_feed: Affine
    widen: Affine
    narrow: Affine


class Weights(NamedTuple):
    """The weights of a Transformer."""

    position: Float[Tensor, "w 1 d"]
    layers: tuple[LayerWeights, ...]
    norm: Affine


class MeanTracker(nn.Module):
    """The mean of the tokens that are not padding (DORL)."""

    def forward(
        self,
        tokens: Float[Tensor, "w B d"],
        there: Bool[Tensor, "w B"] | None,
        weights: None = None,
        some: bool = False,
    ) -> Float[Tensor, "B d"]:
        """tokens: oldest first. there: which tokens are not padding; None means all. An empty window gives zeros."""
        if there is None:
            return tokens.mean(0)
        weight = there[..., None].to(tokens.dtype)
        return (tokens * weight).sum(0) / weight.sum(0).clamp(min=1)

    def weights(self) -> None:
        """Do nothing: this tracker has none."""

    def over(
        self, token: nn.Linear, inputs: Float[Tensor, "w B i"], there: Bool[Tensor, "w B"]
    ) -> Float[Tensor, "B d"]:
        """`forward` of token(inputs); `token` is linear, so it is applied once, to the mean of the inputs."""
        state: Tensor = token(self(inputs, there)) * there.any(0)[:, None]
        return state


class Layer(nn.Module):
    """A pre-norm Transformer layer.

    Windows are short, so attention is a sum over positions in the first dimension. On a CPU this is 2 to 4 times faster
    than batched products of 3 x 3 matrices.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = nn.Linear(dim, 3 * dim)  # query, key, value
        self.out = nn.Linear(dim, dim)
        self.norm_feed = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, 2 * dim)
        self.narrow = nn.Linear(2 * dim, dim)
        self.dropout = dropout

    def forward(
        self,
        tokens: Float[Tensor, "w B d"],
        bias: Float[Tensor, "w B 1"] | None,
        newest: bool,
        weights: LayerWeights,
    ) -> Float[Tensor, "*q B d"]:
        """Attend from every position (q = w), or from the newest alone (no q), which suffices in the last layer.

        bias: -inf at padding; None without padding. weights: the result of `weights()`.
        """
        # Functions replace modules: at this size, a module's call costs as much as its computation.
        shape, folded = tokens.shape[-1:], weights.folded
        normed = layer_norm(tokens, shape, *weights.norm_attention)
        asking, tokens = (normed[-1], tokens[-1]) if newest else (normed, tokens)
        attended = self.attend(asking, normed, bias) if folded is None else folded.attend(asking, normed, bias)
        hidden = tokens + self._drop(attended)
        normed = layer_norm(hidden, shape, *weights.norm_feed)
        fed = linear(linear(normed, *weights.widen).relu_(), *weights.narrow)
        return hidden + self._drop(fed)

    def weights(self) -> LayerWeights:
        """The current weights, with those of the fast twin of `attend` where it is used."""
        folded = twins.fold(self.attention, self.out, self.heads)
        return LayerWeights(
            _affine(self.norm_attention), folded, _affine(self.norm_feed), _affine(self.widen), _affine(self.narrow)
        )

    def attend(self, asking: Tensor, normed: Tensor, bias: Tensor | None) -> Float[Tensor, "*q B d"]:
        """Multi-head scaled dot-product attention and its output layer (Vaswani et al. 2017, Eq. 1)."""
        dim, weight, offset = normed.shape[-1], self.attention.weight, self.attention.bias
        query = linear(asking, weight[:dim], offset[:dim])
        key, value = linear(normed, weight[dim:], offset[dim:]).chunk(2, dim=-1)
        split = (self.heads, dim // self.heads)
        query, key, value = (part.view(*part.shape[:-1], *split) for part in (query, key, value))
        score = (query.unsqueeze(-4) * key).sum(-1, keepdim=True).mul_(split[1] ** -0.5)  # [*q, w, B, heads, 1]
        mixed = (score if bias is None else score + bias[..., None]).softmax(-4)
        return linear((mixed * value).sum(-4).flatten(-2), self.out.weight, self.out.bias)

    def _drop(self, values: Tensor) -> Tensor:
        return dropout(values, self.dropout) if self.training and self.dropout else values


class TransformerTracker(nn.Module):
    """A Transformer encoder over the window; its output at the newest position is the state (ROLeR, DARLR)."""

    def __init__(self, config: TrackerConfig) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(config.window, 1, config.dim) * 0.02)
        self.begin = nn.Parameter(torch.randn(config.dim) * 0.02)
        self.layers = nn.ModuleList(Layer(config.dim, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    def weights(self) -> Weights:
        """The current weights."""
        layers = tuple(layer.weights() for layer in self.layers if isinstance(layer, Layer))
        return Weights(self.position, layers, _affine(self.norm))

    def forward(
        self,
        tokens: Float[Tensor, "n B d"],
        there: Bool[Tensor, "n B"] | None,
        weights: Weights | None = None,
        some: bool = False,
    ) -> Float[Tensor, "B d"]:
        """tokens: oldest first, n <= w. there: which tokens are not padding; None means all.

        An empty window is encoded as one learned token. some: the caller guarantees that no window is empty. weights:
        the result of `weights()`, if it was computed before.
        """
        weights = self.weights() if weights is None else weights
        bias = None
        if there is not None:
            if not some:
                newest = torch.where(there[-1:, :, None], tokens[-1:], self.begin)
                tokens = torch.cat([tokens[:-1], newest])
                there = torch.cat([there[:-1], torch.ones_like(there[-1:])])
            bias = torch.zeros_like(there, dtype=tokens.dtype).masked_fill(~there, -torch.inf)[..., None]
        hidden, last = tokens + weights.position[-len(tokens) :], len(weights.layers) - 1
        for depth, (layer, own) in enumerate(zip(self.layers, weights.layers, strict=True)):
            hidden = layer(hidden, bias, depth == last, own)
        return layer_norm(hidden, hidden.shape[-1:], *weights.norm)

    def over(
        self, token: nn.Linear, inputs: Float[Tensor, "w B i"], there: Bool[Tensor, "w B"]
    ) -> Float[Tensor, "B d"]:
        """`forward` of token(inputs)."""
        state: Tensor = self(token(inputs), there)
        return state


def _affine(module: nn.Linear | nn.LayerNorm) -> Affine:
    return module.weight, module.bias


def build_tracker(config: TrackerConfig) -> MeanTracker | TransformerTracker:
    """The tracker that the configuration names."""
    return MeanTracker() if config.kind == "mean" else TransformerTracker(config)
