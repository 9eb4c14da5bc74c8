"""The World: every table that the agents and the rewards of the methods read."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darlr.data.item_features import log_category_bits
from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, catalogue, scope_of
from darlr.io.tensors import moved
from darlr.options import TablesConfig
from darlr.world.attention import Attention
from darlr.world.belief import Belief
from darlr.world.drawn import Tastes
from darlr.world.entries import Entries, entries
from darlr.world.entropy import EntropyTable, build_entropy
from darlr.world.estimates import Averaged, Constant, Dense, Estimate, Variance
from darlr.world.feedback import Feedback, feedback, standardise
from darlr.world.fitted import FittedWorldModel
from darlr.world.logged import Certainty, Histories
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.low_rank import LowRank
from darlr.world.nearest import nearest

SEARCHED = 48  # the neighbours that one search finds at least where users are many: those of a default pool
SIMILARITY_USERS = 4096  # up to this number of users the cosines of all pairs are held: 64 MB


@dataclass(frozen=True)
class World:
    """What is known offline of U users and I items, by their scope codes. Tensors are float32, if not noted.

    reward: the estimates r0. risk: the estimates P_U. user_features: the standardised feedback vectors p_u, [U, F].
    unit: p_u / |p_u|, [U, F]; zero rows stay zero. item_vectors: [I, d]. reward_range: the smallest and the largest
    reward. categories: int64 [I, words], the category sets of items as bits, where the data set has categories.
    logged_neighbours: [U, I], see `darlr.world.logged_neighbours`, where the options ask for it. preference: [I, d],
    features along which users' preferences vary, in units of the noise, where the policy has a belief. certainty: what
    the log says of these preferences, where the world model has a posterior. entries: the non-zero entries of p_u,
    where they are few. feedback: how p_u of cold-start users is computed. histories: the logged items of each user,
    where the policy has slates or a belief. belief: the belief about a new user, where the policy has a belief. tastes:
    the drawn worlds, where training sessions are played in such. home: the folder of the world model, where the
    neighbours of many users are kept. attention: the weights of references that likelihood chose, where the options ask
    for them. dynamics: what the policy knows of sessions, a `darlr.simulation.dynamics.Dynamics`, where it prices
    leaving; this room only carries it.
    """

    reward: Estimate
    risk: Estimate
    user_features: Tensor
    unit: Tensor
    item_vectors: Tensor
    entropy: EntropyTable
    reward_range: tuple[float, float]
    categories: Tensor | None = None
    logged_neighbours: Tensor | None = None
    preference: Tensor | None = None
    certainty: Certainty | None = None
    entries: Entries | None = None
    feedback: Feedback | None = None
    histories: Histories | None = None
    belief: Belief | None = None
    tastes: Tastes | None = None
    home: Path | None = None
    attention: Attention | None = None
    dynamics: Any = None

    @property
    def n_users(self) -> int:
        """The number U of users."""
        return self.reward.shape[0]

    @property
    def n_items(self) -> int:
        """The number I of items."""
        return self.reward.shape[1]

    def to(self, device: str | torch.device) -> "World":
        """The same tables on another device; where they are on it already, this World with what it has computed."""
        return self if self.unit.device == torch.device(device) else moved(self, device)

    @cached_property
    def _cosine(self) -> Tensor | None:
        """cos(p_u, p_v) of all pairs, [U, U]; None where there are more than SIMILARITY_USERS."""
        if self.n_users > SIMILARITY_USERS:
            return None
        table: Tensor = self.unit @ self.unit.T
        return table

    def hold_cosines(self) -> None:
        """Compute the cosines of all pairs now, not at the first look-up."""
        _ = self._cosine

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """cos(p_u, p_v) of int64 users that broadcast against each other; 0 where p_u or p_v is zero."""
        if self._cosine is not None:
            return self._cosine[u, v]
        return (self.unit[u] * self.unit[v]).sum(-1)

    def similarities(self, users: Tensor) -> Tensor:
        """cos(p_u, p_v) of all pairs within each row of users int64 [B, K], float32 [B, K, K]."""
        if self._cosine is not None:
            return torch.take(self._cosine, users[:, :, None] * self.n_users + users[:, None, :])
        unit = self.unit.index_select(0, users.flatten()).view(*users.shape, -1)
        return torch.bmm(unit, unit.mT)

    def neighbours(self, k: int, include_self: bool) -> tuple[Tensor, Tensor]:
        """The k users with the largest cosine, best first: index int64 [U, k] and cosine float32 [U, k].

        With include_self each user is its own first neighbour. k is cut to the number of users.
        """
        others = min(k - include_self, self.n_users - 1)
        if not self._ranked or self._ranked[0][0].shape[1] < others:
            searched = others if self.n_users <= SIMILARITY_USERS else max(others, min(SEARCHED, self.n_users - 1))
            self._ranked[:] = [nearest(self.unit, searched, self.home)]
        index, cosine = (part[:, :others] for part in self._ranked[0])
        if not include_self:
            return index, cosine
        own = torch.arange(self.n_users, device=index.device)[:, None]
        return torch.cat([own, index], 1), torch.cat([self.unit.square().sum(1, keepdim=True), cosine], 1)

    @cached_property
    def _ranked(self) -> list[tuple[Tensor, Tensor]]:
        """The longest result of `nearest` so far, if any, so that all pairs of users are compared once."""
        return []

    def neighbour_reward(self, config: TablesConfig) -> Estimate:
        """The static reward of ROLeR (method.md section 6): the average of the neighbours' r0.

        The weights are uniform, or the positive part of the cosines; a user without a positive cosine gets uniform
        weights. Where the world has `logged_neighbours`, these are returned.
        """
        if self.logged_neighbours is not None:
            return Dense(self.logged_neighbours)
        index, cosine = self.neighbours(config.neighbours, config.neighbour_self)
        weight = torch.full_like(cosine, 1 / cosine.shape[1])
        if config.neighbour_weights == "cosine":
            positive = cosine.clamp(min=0)
            total = positive.sum(1, keepdim=True)
            weight = torch.where(total > 0, positive / total.clamp(min=1e-12), weight)
        if isinstance(self.reward, LowRank):
            return self.reward.averaged(index, weight)
        if isinstance(self.reward, Dense):
            return Dense(self._average(index, weight, self.reward.table))
        return Averaged(self.reward, index, weight)

    def neighbour_risk(self, config: TablesConfig) -> Estimate:
        """The risk of `neighbour_reward`: the unweighted variance of the neighbours' r0, or 0.

        With `logged_neighbours` it is the variance of a reward that is the largest with the logged share, else least.
        """
        if config.neighbour_risk == "zero":
            return Constant(0.0, self.reward)
        if self.logged_neighbours is not None:
            share, (low, high) = self.logged_neighbours, self.reward_range
            return Dense((share - low) * (high - share))
        index, cosine = self.neighbours(config.neighbours, config.neighbour_self)
        if not isinstance(self.reward, Dense):
            return Variance(self.reward, index)
        reward, uniform = self.reward.table, torch.full_like(cosine, 1 / cosine.shape[1])
        centred = reward - reward.mean(0)  # smaller numbers: E[x^2] - E[x]^2 loses less
        variance = self._average(index, uniform, centred.square()) - self._average(index, uniform, centred).square()
        return Dense(variance.clamp(min=0))

    def _average(self, index: Tensor, weight: Tensor, values: Tensor) -> Tensor:
        """The weighted sum of the rows `index` of `values` [U, I] for each user, as one sparse product."""
        rows = torch.arange(self.n_users, device=index.device)[:, None].expand_as(index)
        place, size = torch.stack([rows.flatten(), index.flatten()]), (self.n_users, self.n_users)
        matrix = torch.sparse_coo_tensor(place, weight.flatten(), size, check_invariants=False)
        average: Tensor = torch.sparse.mm(matrix, values)
        return average


def build_world(
    fitted: FittedWorldModel, log_train: InteractionLog, config: TablesConfig, scope: Scope | None = None
) -> World:
    """The World of a fitted world model and the log that it was trained on. scope: that of the log if left out."""
    scope = scope_of(log_train) if scope is None else scope
    vectors, how = feedback(fitted.reward, log_train, config, scope)
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
        logged_neighbours=_logged_table(log_train, config, scope, isinstance(fitted.reward, Dense)),
        entries=entries(vectors),
        feedback=how,
        home=fitted.home,
    )


def _logged_table(log: InteractionLog, config: TablesConfig, scope: Scope, dense: bool) -> Tensor | None:
    if config.neighbour_source == "predicted" or not log.implicit or not dense:
        return None
    return logged_neighbour_table(log, scope, config.logged_neighbours)
