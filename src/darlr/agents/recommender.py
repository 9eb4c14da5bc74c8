"""The recommender agent: its observation of a session, its networks, and its use as a policy."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding  # several times faster than table[rows] on a CPU

from darlr.agents.actor_critic import ActorCritic
from darlr.agents.belief import preference
from darlr.agents.fast.attention import Folded
from darlr.agents.tracker import build_tracker
from darlr.options import RecommenderConfig
from darlr.simulation.exits import CategoryExit
from darlr.simulation.session import Session, last_items, last_rewards
from darlr.world.entries import Entries


@dataclass(frozen=True)
class Observation:
    """What the recommender sees of B sessions.

    user: int64 [B]. items: int64 [B, w], newest last, -1 = none. feedback: float32 [B, w], rewards scaled to 0..1.
    preference: float32 [B, d], inferred from the whole session's feedback; it has no columns without `belief`.
    recent: int64 [B, N], the items that the exit rule looks at; it has no columns without `caution`.
    """

    user: Int[Tensor, " B"]
    items: Int[Tensor, "B w"]
    feedback: Float[Tensor, "B w"]
    preference: Float[Tensor, "B d1"]
    recent: Int[Tensor, "B N"]

    def rows(self, rows: Int[Tensor, " n"] | slice) -> "Observation":
        """The chosen rows."""
        return Observation(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Decision:
    """The output of the networks for B sessions: s_rec [B, s], unmasked logits [B, I] and the value [B]."""

    state: Float[Tensor, "B s"]
    logits: Float[Tensor, "B I"]
    value: Float[Tensor, " B"]


class Tokens(NamedTuple):
    """The parts of states, computed once while the weights do not change.

    items: each item's contribution to its token, float32 [I, d]. feedback: the contribution of a scaled reward of 1,
    float32 [d]. users: each user's part of the state, float32 [U, d], or None where the state does not include the
    user. tracker: the tracker's `fold()`.
    """

    items: Float[Tensor, "I d"]
    feedback: Float[Tensor, " d"]
    users: Float[Tensor, "U d"] | None
    tracker: Sequence[Folded | None] | None


class Recommender(nn.Module):
    """A token is [item vector, scaled reward]. The state is the tracker's output, with projected p_u if configured."""

    items: Tensor
    users: Tensor
    reward: Tensor
    centre: Tensor
    sharpness: Tensor
    features: Tensor
    bits: Tensor

    def __init__(
        self,
        config: RecommenderConfig,
        item_vectors: Float[Tensor, "I d"],
        user_features: Float[Tensor, "U F"],
        reward_range: tuple[float, float],
        reward: Float[Tensor, "U I"] | None = None,
        leaving: CategoryExit | None = None,
        preference_features: Float[Tensor, "I d1"] | None = None,
        entries: Entries | None = None,
    ) -> None:
        """user_features: the standardised p_u of every user. reward_range: the least and the largest logged reward.

        reward: the table that the method's estimate starts from; it is required when `config.prior` is not 0. leaving:
        the exit rule that `config.caution` respects, if any. preference_features: `World.preference`, required when
        `config.belief` is not 0. entries: the non-zero entries of p_u, where there are few.
        """
        super().__init__()
        self.config, self.entries = config, entries
        self.low, self.high = reward_range
        self.register_buffer("items", item_vectors, persistent=False)
        self.register_buffer("users", user_features, persistent=False)
        if config.prior:
            if reward is None:
                raise ValueError("a recommender with a prior needs a table of rewards")
            self.register_buffer("reward", reward, persistent=False)
            # The prior's strength does not depend on the unit of rewards; it is 0 where all items have the same reward.
            spread, centre = torch.std_mean(reward, 1, correction=0)
            sharpness = torch.where(spread > 1e-6 * centre.abs(), config.prior / spread, 0.0)
            self.register_buffer("centre", centre, persistent=False)
            self.register_buffer("sharpness", sharpness, persistent=False)
        self.leaving = (leaving.window, leaving.threshold) if leaving is not None and config.caution else None
        if self.leaving is not None and leaving is not None:
            self.register_buffer("bits", leaving.bits, persistent=False)
        dim, preference_dim = config.tracker.dim, 0
        if config.belief:
            if preference_features is None:
                raise ValueError("a recommender with a belief needs features of preferences")
            self.register_buffer("features", preference_features, persistent=False)
            preference_dim = self.features.shape[1]
        self.token = nn.Linear(item_vectors.shape[1] + 1, dim)
        self.tracker = build_tracker(config.tracker)
        self.user = nn.Linear(user_features.shape[1], dim) if config.user_in_state else None
        self.state_dim = (2 * dim if config.user_in_state else dim) + preference_dim
        self.heads = ActorCritic(self.state_dim, config.a2c.hidden, item_vectors.shape[0], config.precision)

    def observe(self, session: Session) -> Observation:
        """The agent's observation of a session; rewards are clipped to the logged range."""
        window = self.config.tracker.window
        items = last_items(session, window)
        scaled = (last_rewards(session, window) - self.low) / max(self.high - self.low, 1e-12)
        feedback = scaled.clamp_(0, 1) if self.config.feedback_in_state else torch.zeros_like(scaled)
        if self.low < 0:  # otherwise the reward 0 of a missing item is scaled to 0 anyway
            feedback = feedback.masked_fill(items < 0, 0.0)
        recent = last_items(session, self.leaving[0]) if self.leaving is not None else items[:, :0]
        return Observation(session.user, items, feedback, self._preference(session), recent)

    def _preference(self, session: Session) -> Float[Tensor, "B d1"]:
        if not self.config.belief:
            return session.rewards[:, :0]
        there = session.items >= 0
        if not self.config.feedback_in_state:
            there = torch.zeros_like(there)
        expected = self.reward[session.user[:, None], session.items.clamp(min=0)]
        surprise = session.rewards.clamp(self.low, self.high) - expected
        return preference(self.features, self.config.belief, session.items, surprise, there)

    def forward(self, seen: Observation, tokens: Tokens | None = None) -> Decision:
        """State, logits and value of an observation. tokens: the result of `tokens()`, if it was computed before."""
        state = self.state(seen, self.own(seen.user, tokens), tokens)
        logits, value = self.heads(state)
        if self.knows_more:
            logits = logits + self.offset(seen)
        return Decision(state, logits, value)

    def tokens(self) -> Tokens:
        """The tokens of all items and users at the current weights. For many states this is cheaper than one by one."""
        weight = self.token.weight
        items = torch.addmm(self.token.bias, self.items, weight[:, :-1].T)
        return Tokens(items, weight[:, -1], self._users(), self.tracker.fold())

    def _users(self) -> Tensor | None:
        """Every user's part of the state; None where the state does not include the user."""
        if self.user is None:
            return None
        users: Tensor = self.user(self.users) if self.entries is None else self.entries.through(self.user)
        return users

    def own(self, user: Int[Tensor, " B"], tokens: Tokens | None = None) -> Float[Tensor, "B d"] | None:
        """The users' part of the state, or None where the state does not include the user. tokens: as in `forward`."""
        if self.user is None:
            return None
        users = tokens.users if tokens is not None else self._users() if self.entries is not None else None
        return project(self.user, self.users, user) if users is None else embedding(user, users)

    def state(
        self, seen: Observation, own: Float[Tensor, "B d"] | None, tokens: Tokens | None = None
    ) -> Float[Tensor, "B s"]:
        """s_rec of an observation. own: the result of `own(seen.user)`. tokens: as in `forward`."""
        items, feedback = seen.items.T, seen.feedback.T[..., None]  # trackers expect positions in the first dimension
        known = items.clamp(min=0)
        if tokens is None:
            inputs = torch.cat([embedding(known, self.items), feedback], dim=-1)
            tracked = self.tracker.over(self.token, inputs, items >= 0)
        else:
            window = torch.addcmul(embedding(known, tokens.items), feedback, tokens.feedback)
            tracked = self.tracker(window, items >= 0, tokens.tracker)
        parts = [tracked]
        if own is not None:
            parts.append(own)
        if self.config.belief:  # scaled to about unit size
            parts.append(seen.preference / (self.config.belief**0.5 * max(self.high - self.low, 1e-12)))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    @property
    def knows_more(self) -> bool:
        """Whether the logits have a part that does not come from the networks."""
        return bool(self.config.prior) or self.leaving is not None

    def offset(self, seen: Observation) -> Float[Tensor, "B I"]:
        """The part of the logits that is not learned: the prior less the penalty for items that end the session."""
        if self.leaving is None:
            return self._prior(seen)
        caution = self.config.caution * CategoryExit(self.bits, *self.leaving).ending(seen.recent).float()
        return self._prior(seen) - caution if self.config.prior else -caution

    def _prior(self, seen: Observation) -> Float[Tensor, "B I"]:
        """The table's scores, updated by the preference that the session reveals."""
        scores = embedding(seen.user, self.reward)
        if self.config.belief:
            scores = torch.addmm(scores, seen.preference, self.features.T)
        return (scores - self.centre[seen.user, None]) * self.sharpness[seen.user, None]


def project(layer: nn.Linear, table: Float[Tensor, "U F"], rows: Int[Tensor, "*n"]) -> Tensor:
    """layer(table[rows]), [*n, out], computed once for each distinct row."""
    distinct, place = torch.unique(rows, return_inverse=True)
    return embedding(place, layer(embedding(distinct, table)))


@dataclass(frozen=True)
class RecommenderPolicy:
    """A trained recommender behind the `Policy` interface."""

    recommender: Recommender

    @torch.inference_mode()
    def scores(self, session: Session) -> Tensor:
        """The logits [B, I]. The selector is not needed to recommend."""
        decision: Decision = self.recommender(self.recommender.observe(session))
        return decision.logits
