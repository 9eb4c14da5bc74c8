"""An ensemble of K DeepFM members, computed together (Guo et al., arXiv 1703.04247; method.md section 1).

The first dimension of every parameter is the member. The contributions of users and items are computed separately,
which makes the table of all pairs cheap. This is exact, because FM(u, i) = FM(u) + FM(i) + s_u . s_i and the first deep
layer is a sum over the two sides.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from darlr.options import WorldModelConfig
from darlr.world.models.features import Side
from darlr.world.vectors import principal

CELLS = 1_000  # the cells of a table in one batch, so that the output of all layers stays in a core's cache
LOG_VARIANCE_RANGE = (-5.0, 3.0)  # standard deviations of 0.08 to 4.5 times that of the log's rewards


@dataclass(frozen=True)
class Contribution:
    """The contribution of one side, users or items, to the prediction.

    linear: [K, B, 2], the first-order terms of mean and log-variance. vector: s [K, B, d], the sum of the field
    embeddings. pairs: [K, B], the FM term within the side. deep: [K, B, h], the side's part of the first deep layer.
    """

    linear: Tensor
    vector: Tensor
    pairs: Tensor
    deep: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> "Contribution":
        """`change` applied to every tensor, to select a part, or to make the two sides broadcast."""
        return Contribution(change(self.linear), change(self.vector), change(self.pairs), change(self.deep))


def fm_pairs(vectors: Tensor) -> Tensor:
    """Dot products summed over pairs of fields, [..., F, d] -> [...] (arXiv 1703.04247 Eq. 2; Rendle 2010)."""
    if vectors.shape[-2] == 1:
        return vectors.new_zeros(vectors.shape[:-2])
    return 0.5 * (vectors.sum(-2).square() - vectors.square().sum(-2)).sum(-1)


class SideTable(nn.Module):
    """Embeddings and first-order weights of one side for K members.

    vector_table: float32 [K * codes, d] and linear_table: [K * codes, 2], the embedding and the first-order terms of
    each code, member by member. sparse: whether their gradients hold the rows of a batch alone, which pays where there
    are many codes; else one look-up and one scatter of gradients serve both.
    """

    codes: Tensor
    weights: Tensor
    pool: Tensor

    def __init__(self, side: Side, config: WorldModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        k, d, h = config.members, config.embedding, config.hidden[0]
        self.n_ids = side.codes.shape[0]
        self.n_codes = side.n_codes
        self.register_buffer("codes", side.codes)
        self.register_buffer("weights", side.weights)
        self.register_buffer("pool", nn.functional.one_hot(side.field, side.n_fields).float())
        embedding = torch.randn(k, side.n_codes, d, generator=generator) * config.initial_scale
        self.vector_table = nn.Parameter(embedding.flatten(0, 1))
        self.linear_table = nn.Parameter(torch.zeros(k * side.n_codes, 2))
        self.sparse = config.gradients == "sparse"
        fan_in = side.n_fields * d
        self.first = nn.Parameter(torch.randn(k, fan_in, h, generator=generator) * math.sqrt(1 / fan_in))

    def forward(self, rows: Tensor) -> Contribution:
        """The contribution of users or items of the codes `rows`, int64 [K, B]; member k reads rows[k]."""
        k, size = rows.shape
        codes = self.codes[rows] + self.n_codes * torch.arange(k, device=rows.device)[:, None, None]  # [K, B, S]
        slots = self._slots(codes) * self.weights[rows][..., None]  # [K, B, S, d + 2]
        vectors, linear = slots[..., :-2], slots[..., -2:].sum(2)
        if self.pool.shape[0] != self.pool.shape[1]:
            vectors = torch.einsum("kbsd,sf->kbfd", vectors, self.pool)
        deep = torch.bmm(vectors.reshape(k, size, -1), self.first)
        return Contribution(linear, vectors.sum(2), fm_pairs(vectors), deep)

    def _slots(self, codes: Tensor) -> Tensor:
        """The embedding and the first-order terms of codes."""
        tables = self.vector_table, self.linear_table
        if self.sparse:
            return torch.cat([nn.functional.embedding(codes, table, sparse=True) for table in tables], -1)
        return nn.functional.embedding(codes, torch.cat(tables, 1))

    @property
    def members(self) -> int:
        """K."""
        return len(self.vector_table) // self.n_codes

    @property
    def embedding(self) -> Tensor:
        """The embeddings, a view [K, codes, d] of the table."""
        return self.vector_table.view(-1, self.n_codes, self.vector_table.shape[1])

    @property
    def linear(self) -> Tensor:
        """The first-order terms of mean and log-variance, a view [K, codes, 2] of the table."""
        return self.linear_table.view(-1, self.n_codes, 2)

    @torch.no_grad()
    def take_over(self, before: "SideTable") -> None:
        """Take the parameters of a table of the first ids. New ids and new values of features keep their own."""
        place = torch.full((before.n_codes,), -1)
        for field in range(before.pool.shape[1]):  # the first ids have the same values in both tables
            old, new = (side.codes[: before.n_ids, side.pool[:, field] > 0] for side in (before, self))
            place[old] = new[:, : old.shape[1]]
        known = place >= 0
        self.embedding[:, place[known]] = before.embedding[:, known]
        self.linear[:, place[known]] = before.linear[:, known]
        self.first.copy_(before.first)

    def vectors(self, size: int) -> Tensor:
        """The principal components, [n, size], of the members' field embeddings and first-order means of all ids."""
        part = self(torch.arange(self.n_ids).expand(self.members, -1))
        return principal(torch.cat([part.vector.transpose(0, 1).flatten(1), part.linear[..., 0].T], 1), size)


class DeepFM(nn.Module):
    """The mean and the log-variance of the standardised reward, for K members."""

    def __init__(self, user: Side, item: Side, config: WorldModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.members = config.members
        self.dropout = config.dropout
        self.user = SideTable(user, config, generator)
        self.item = SideTable(item, config, generator)
        widths = [*config.hidden, 2]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(config.members, 1, config.hidden[0]))])
        for fan_in, fan_out in pairwise(widths):
            scale = math.sqrt(2 / fan_in)
            weight = torch.randn(config.members, fan_in, fan_out, generator=generator) * scale
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(config.members, 1, fan_out)))

    @torch.no_grad()
    def take_over(self, before: "DeepFM") -> None:
        """Take the parameters of a model of the first users and items."""
        self.user.take_over(before.user)
        self.item.take_over(before.item)
        for own, other in zip((*self.weights, *self.biases), (*before.weights, *before.biases), strict=True):
            own.copy_(other)

    def forward(self, users: Tensor, items: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, float32 [K, B] each, of users and items int64 [K, B].

        generator: draws the dropout masks in training; None switches dropout off.
        """
        return self.combine(self.user(users), self.item(items), generator)

    def lists(self, users: Tensor, items: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, [K, B, M] each, of M items int64 [K, B, M] for each user int64 [K, B].

        The contribution of a user is computed once, which saves time where users have many features.
        """
        user = self.user(users).each(lambda part: part[:, :, None])
        item = self.item(items.flatten(1)).each(lambda part: part.unflatten(1, items.shape[1:]))
        return self.combine(user, item, generator)

    def combine(
        self, user: Contribution, item: Contribution, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """The mean and log-variance from the contributions of the two sides, which must broadcast."""
        linear, deep = user.linear + item.linear, user.deep + item.deep
        pairs = user.pairs + item.pairs + (user.vector * item.vector).sum(-1)
        *shape, width = deep.shape
        deep = self._deep(deep.reshape(self.members, -1, width), generator).reshape(*shape, 2)
        mean = linear[..., 0] + pairs + deep[..., 0]
        low, high = LOG_VARIANCE_RANGE
        return mean, (linear[..., 1] + deep[..., 1]).clamp(low, high)

    def _deep(self, hidden: Tensor, generator: torch.Generator | None) -> Tensor:
        hidden = hidden + self.biases[0]
        for weight, bias in zip(self.weights, self.biases[1:], strict=True):
            hidden = torch.baddbmm(bias, self._drop(hidden.relu(), generator), weight)
        return hidden

    def _drop(self, hidden: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None or self.dropout == 0:
            return hidden
        keep = torch.empty_like(hidden).bernoulli_(1 - self.dropout, generator=generator)
        return hidden * keep.div_(1 - self.dropout)

    @torch.no_grad()
    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `WorldModel.vectors`."""
        return self.user.vectors(size)[users], self.item.vectors(size)[items]

    @torch.no_grad()
    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """See `WorldModel.over`; the contribution of the items is computed once."""
        side = self.item(items.expand(self.members, -1))

        @torch.no_grad()
        def of(users: Tensor) -> tuple[Tensor, Tensor]:
            user = self.user(users.expand(self.members, -1)).each(lambda part: part[:, :, None])
            size = max(1, CELLS // max(1, len(users)))

            def chunk(at: int) -> tuple[Tensor, Tensor]:
                return self.combine(user, side.each(lambda part: part[:, None, at : at + size]))

            mean, log_variance = zip(*map(chunk, range(0, max(1, len(items)), size)), strict=True)
            return torch.cat(mean, 2), torch.cat(log_variance, 2)

        return of


def gaussian_nll(mean: Tensor, log_variance: Tensor, target: Tensor) -> Tensor:
    """The negative log likelihood of a Gaussian, elementwise, without the constant log(2 pi) / 2."""
    return 0.5 * (log_variance + (target - mean).square() * torch.exp(-log_variance))
