"""The World: every table that agents and shapings read, on one device."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from darlr.data.item_features import log_category_bits
from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, catalogue, scope_of
from darlr.errors import ConfigError
from darlr.options import TablesConfig
from darlr.world.entries import Entries, entries
from darlr.world.entropy import EntropyTable, build_entropy
from darlr.world.feedback import Feedback, feedback, standardise
from darlr.world.fitted import FittedWorldModel
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.nearest import nearest

SIMILARITY_USERS = 4096  # up to here cosines of all pairs are held: 64 MB


@dataclass(frozen=True)
class World:
    """All that is known of users and items offline. Tables are float32 tensors on one device, unless stated otherwise.

    reward: r0, [U, I]. risk: P_U, [U, I]. user_features: the standardised feedback vectors p_u, [U, F]. unit: p_u /
    |p_u|, [U, F]; zero rows stay zero. item_vectors: [I, d]. entropy: the table of behaviour entropy. reward_range: the
    least and the largest reward. categories: int64 [I, words], the items' category sets as bits, where the data set has
    categories. logged_neighbours: [U, I], of `darlr.world.logged_neighbours`, where the options ask for it. preference:
    [I, d], features along which users' preferences vary, in units of the noise, where the policy's belief needs them.
    entries: the entries of p_u, where they are few. feedback: how p_u is computed, for users in no log.
    """

    reward: Tensor
    risk: Tensor
    user_features: Tensor
    unit: Tensor
    item_vectors: Tensor
    entropy: EntropyTable
    reward_range: tuple[float, float]
    categories: Tensor | None = None
    logged_neighbours: Tensor | None = None
    preference: Tensor | None = None
    entries: Entries | None = None
    feedback: Feedback | None = None

    @property
    def n_users(self) -> int:
        """U."""
        return self.reward.shape[0]

    @property
    def n_items(self) -> int:
        """I."""
        return self.reward.shape[1]

    def to(self, device: str | torch.device) -> "World":
        """The same tables on another device."""
        tables = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "reward_range"}
        return replace(self, **{name: table.to(device) for name, table in tables.items() if table is not None})

    @cached_property
    def _cosine(self) -> Tensor | None:
        """cos(p_u, p_v) of all pairs, [U, U], or None when there are too many users."""
        if self.n_users > SIMILARITY_USERS:
            return None
        table: Tensor = self.unit @ self.unit.T
        return table

    def hold_cosines(self) -> None:
        """Compute now, not at the first look-up, what similarities are looked up in."""
        _ = self._cosine

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """cos(p_u, p_v) for int64 tensors that broadcast against each other; 0 with a zero vector."""
        if self._cosine is not None:
            return self._cosine[u, v]
        return (self.unit[u] * self.unit[v]).sum(-1)

    def similarities(self, users: Tensor) -> Tensor:
        """cos(p_u, p_v) of all pairs among each row of users, int64 [B, K], float32 [B, K, K]."""
        if self._cosine is not None:
            return torch.take(self._cosine, users[:, :, None] * self.n_users + users[:, None, :])
        unit = self.unit.index_select(0, users.flatten()).view(*users.shape, -1)
        return torch.bmm(unit, unit.mT)

    def neighbours(self, k: int, include_self: bool) -> tuple[Tensor, Tensor]:
        """The k users with the largest cosine, best first: index int64 [U, k] and cosine float32 [U, k].

        With include_self a user comes first among its own neighbours; k is cut to the users there are.
        """
        if not include_self:
            return self._others(min(k, self.n_users - 1))
        index, cosine = self._others(min(k, self.n_users) - 1)
        own = torch.arange(self.n_users, device=index.device)
        return (
            torch.cat([own[:, None], index], dim=1),
            torch.cat([self.unit.square().sum(1, keepdim=True), cosine], dim=1),
        )

    @cached_property
    def _ranked(self) -> list[tuple[Tensor, Tensor]]:
        """The longest lists of neighbours found so far, if any: all pairs of many users are compared once."""
        return []

    def _others(self, k: int) -> tuple[Tensor, Tensor]:
        """The k other users with the largest cosine, best first."""
        if not self._ranked or self._ranked[0][0].shape[1] < k:
            self._ranked[:] = [nearest(self.unit, k)]
        index, cosine = self._ranked[0]
        return index[:, :k], cosine[:, :k]

    def neighbour_reward(self, config: TablesConfig) -> Tensor:
        """ROLeR's static shaping (method.md section 6): the neighbours' average of r0, float32 [U, I].

        Weights are cosines (negative ones count 0) or uniform; a user without any positive weight gets the plain
        mean. Where there are `logged_neighbours` they are taken as they are.
        """
        if self.logged_neighbours is not None:
            return self.logged_neighbours
        return self._shaped(*self.neighbours(config.neighbours, config.neighbour_self), config)

    def neighbour_risk(self, config: TablesConfig) -> Tensor:
        """The risk of `neighbour_reward`, float32 [U, I].

        It is the population variance of the neighbours' r0, unweighted, or 0. Entries of `logged_neighbours` are shares
        of positives.
        """
        if config.neighbour_risk == "zero":
            return torch.zeros_like(self.reward)
        if self.logged_neighbours is not None:
            share, (low, high) = self.logged_neighbours, self.reward_range
            return (share - low) * (high - share)
        index, cosine = self.neighbours(config.neighbours, config.neighbour_self)
        uniform = torch.full_like(cosine, 1 / cosine.shape[1])
        centred = self.reward - self.reward.mean(0)  # smaller numbers: E[x^2] - E[x]^2 loses less
        variance = self._average(index, uniform, centred.square()) - self._average(index, uniform, centred).square()
        return variance.clamp(min=0)

    def _shaped(self, index: Tensor, cosine: Tensor, config: TablesConfig) -> Tensor:
        weight = uniform = torch.full_like(cosine, 1 / cosine.shape[1])
        if config.neighbour_weights == "cosine":
            positive = cosine.clamp(min=0)
            total = positive.sum(1, keepdim=True)
            weight = torch.where(total > 0, positive / total.clamp(min=1e-12), uniform)
        return self._average(index, weight, self.reward)

    def _average(self, index: Tensor, weight: Tensor, values: Tensor) -> Tensor:
        """Weighted sums of rows of `values` [U, I] by index, weight [U, k], as one sparse product."""
        rows = torch.arange(self.n_users, device=index.device)[:, None].expand_as(index)
        matrix = torch.sparse_coo_tensor(
            torch.stack([rows.flatten(), index.flatten()]),
            weight.flatten(),
            (self.n_users, self.n_users),
            check_invariants=False,
        )
        average: Tensor = torch.sparse.mm(matrix, values)
        return average


def build_world(
    fitted: FittedWorldModel, log_train: InteractionLog, config: TablesConfig, scope: Scope | None = None
) -> World:
    """The World of a fitted model and the training log, in scope codes. scope: None = everything in the log."""
    scope = scope_of(log_train) if scope is None else scope
    vectors, feedback_of = feedback(fitted.reward, log_train, config, scope)
    known = catalogue(log_train, scope)
    norm = vectors.norm(dim=1, keepdim=True)
    return World(
        reward=fitted.reward,
        risk=fitted.risk,
        user_features=standardise(vectors),
        unit=vectors / torch.where(norm > 0, norm, torch.inf),
        item_vectors=fitted.item_vectors,
        entropy=build_entropy(known),
        reward_range=fitted.reward_range,
        categories=log_category_bits(known),
        logged_neighbours=_logged_table(log_train, config, scope),
        entries=entries(vectors),
        feedback=feedback_of,
    )


def _logged_table(log: InteractionLog, config: TablesConfig, scope: Scope) -> Tensor | None:
    if config.neighbour_source == "logged" and not log.implicit:
        raise ConfigError("option tables.neighbour-source: logged is for logs of positives; this one has ratings")
    if config.neighbour_source == "predicted" or not log.implicit:
        return None
    return logged_neighbour_table(log, scope, config.logged_neighbours)
