"""The recommender agent: its observation of a session, networks and policy (method.md sections 2 and 3, DARLR+)."""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding  # several times faster than table[rows] on a CPU

from darlr.agents.actor_critic import ActorCritic, AllActions, Candidates
from darlr.agents.forbidden import FORBIDDEN
from darlr.agents.observation import Decision, Observation, Tokens
from darlr.agents.slates import Slate, Slates
from darlr.agents.tracker import build_tracker
from darlr.io.tensors import moved
from darlr.options import RecommenderConfig
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.exits import CategoryExit
from darlr.simulation.session import Session, last_items, last_rewards, of_history
from darlr.world.approximate import MANY
from darlr.world.entries import Entries
from darlr.world.estimates import Estimate
from darlr.world.logged import Certainty

LEAST = 1e-6  # the smallest variance of a reward


class Recommender(nn.Module):
    """A token is [item vector, scaled reward]. s_rec is the tracker's output, with projected p_u if configured."""

    items: Tensor
    users: Tensor
    centre: Tensor
    sharpness: Tensor
    features: Tensor
    level: Tensor
    bits: Tensor

    def __init__(
        self,
        config: RecommenderConfig,
        item_vectors: Float[Tensor, "I d"],
        user_features: Float[Tensor, "U F"],
        reward_range: tuple[float, float],
        reward: Estimate | None = None,
        leaving: CategoryExit | None = None,
        preference_features: Float[Tensor, "I d1"] | None = None,
        entries: Entries | None = None,
        slates: Slates | None = None,
        dynamics: Dynamics | None = None,
        risk: Estimate | None = None,
        certainty: Certainty | None = None,
    ) -> None:
        """user_features: the standardised p_u of every user. reward_range: the least and the largest logged reward.

        reward: what the method's estimate starts from, for `config.prior`. leaving: the exit rule that
        `config.caution` respects, if any. preference_features: `World.preference`, for `config.belief`. entries: the
        non-zero entries of p_u, where there are few. slates: for catalogues too large for a softmax. dynamics, risk:
        what is known of sessions, and the variance of rewards, for `config.price`. certainty: `World.certainty`, for
        `config.belief`. Raises ValueError without a table that an option needs.
        """
        super().__init__()
        self.config, self.entries, self.estimate, self.slates = config, entries, reward, slates
        self.certainty = certainty
        self.low, self.high = reward_range
        priced = config.price and config.prior and slates is None and risk is not None
        self.dynamics, self.risk = (dynamics, risk) if priced else (None, None)
        tables = {"items": item_vectors, "users": user_features}
        tables |= _scales(config.prior, reward)
        self.leaving: tuple[int, float] | None = None
        if leaving is not None and config.caution:
            self.leaving = leaving.window, leaving.threshold
            tables["bits"] = leaving.bits
        dim, preference_dim = config.tracker.dim, 0
        if config.belief:
            if preference_features is None or not config.prior:
                raise ValueError("a recommender with a belief needs a prior and features of preferences")
            tables["features"], preference_dim = preference_features, preference_features.shape[1]
            tables["level"] = preference_features.mean(0)
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)
        self.token = nn.Linear(item_vectors.shape[1] + 1, dim)
        self.tracker = build_tracker(config.tracker)
        self.user = nn.Linear(user_features.shape[1], dim) if config.user_in_state else None
        self.state_dim = (2 * dim if config.user_in_state else dim) + preference_dim
        self.heads = ActorCritic(self.state_dim, config.a2c.hidden, item_vectors.shape[0], config.precision)

    def with_users(
        self, user_features: Float[Tensor, "B F"], reward: Estimate | None = None, slates: Slates | None = None
    ) -> "Recommender":
        """A recommender of other users that shares these weights; the arguments are those of the constructor."""
        other = copy.copy(self)
        other._buffers = {**self._buffers, "users": user_features, **_scales(self.config.prior, reward)}
        other.entries, other.estimate, other.slates = None, reward, slates
        other.dynamics = other.risk = None
        other.certainty = None if self.certainty is None else self.certainty.of_new_users
        return other

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Recommender":
        """Convert weights and tables, as in every module, and bring the estimate to their device."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self.items.device
        self.estimate, self.risk = moved(self.estimate, device), moved(self.risk, device)
        self.dynamics, self.certainty = moved(self.dynamics, device), moved(self.certainty, device)
        return self

    def observe(self, session: Session) -> Observation:
        """The observation of a session; rewards are clipped to the logged range."""
        window = self.config.tracker.window
        items = last_items(session, window)
        scaled = (last_rewards(session, window) - self.low) / max(self.high - self.low, 1e-12)
        feedback = scaled.clamp_(0, 1) if self.config.feedback_in_state else torch.zeros_like(scaled)
        if self.low < 0:  # otherwise the reward 0 of a missing item is scaled to 0
            feedback = feedback.masked_fill(items < 0, 0.0)
        recent = last_items(session, self.leaving[0]) if self.leaving is not None else None
        whole = (session.items, session.rewards) if self.dynamics is not None else ()
        return Observation(session.user, items, feedback, self._preference(session), recent, *whole)

    def _preference(self, session: Session) -> Float[Tensor, "B d1"] | None:
        if not self.config.belief:
            return None
        there = session.items >= 0
        if not self.config.feedback_in_state:
            there = torch.zeros_like(there)
        assert self.estimate is not None
        expected = self.estimate.pairs(session.user[:, None], session.items.clamp(min=0))
        rewards = session.rewards.clamp(self.low, self.high)
        if self.dynamics is not None:
            rewards = self.dynamics.rested(session.items, rewards)
        surprise = rewards - expected
        if self.certainty is not None:
            known = self.features, self.config.belief, session.user
            return self.certainty.preference(*known, session.items.masked_fill(~there, -1), surprise)
        return preference(self.features, self.config.belief, session.items, surprise, there)

    def forward(
        self,
        seen: Observation,
        tokens: Tokens | None = None,
        slate: Slate | None = None,
        layer: AllActions | Candidates | None = None,
        features: Float[Tensor, "B S d1"] | None = None,
        shown: int | None = None,
    ) -> Decision:
        """The decision for an observation. tokens: the result of `tokens()`, if it was computed before.

        slate: those of the users, where only a part of the catalogue can be recommended; logits are over its columns.
        layer, features: the actor's last layer over what can be recommended, and the belief's features, if known
        before.
        shown: how many items every session has shown, where all have shown equally many.
        """
        state = self.state(seen, self.own(seen.user, tokens), tokens, shown)
        hidden = self.heads.trunk(state, None if tokens is None else tokens.trunk)
        if layer is None:
            layer = self.heads.actor.layer(None if slate is None else slate.known(len(self.items)))
        logits = layer.logits(hidden)
        if self.knows_more or slate is not None:
            logits = logits + self.offset(seen, slate, features)
        return Decision(state, logits, hidden)

    def tokens(self) -> Tokens:
        """The tokens of all items and users at the current weights, which make many states cheaper."""
        weight = self.token.weight
        items = torch.addmm(self.token.bias, self.items, weight[:, :-1].T)
        users = None if len(self.users) > MANY else self._users()
        return Tokens(items, weight[:, -1], users, self.tracker.weights(), self.heads.trunk.weights())

    def _users(self) -> Tensor | None:
        """Each user's part of the state, or None."""
        if self.user is None:
            return None
        users: Tensor = self.user(self.users) if self.entries is None else self.entries.through(self.user)
        return users

    def own(self, user: Int[Tensor, " B"], tokens: Tokens | None = None) -> Float[Tensor, "B d"] | None:
        """The users' part of the state, or None where the state has no such part. tokens: as in `forward`."""
        if self.user is None:
            return None
        users = tokens.users if tokens is not None else self._users() if self.entries is not None else None
        return project(self.user, self.users, user) if users is None else embedding(user, users)

    def state(
        self,
        seen: Observation,
        own: Float[Tensor, "B d"] | None,
        tokens: Tokens | None = None,
        shown: int | None = None,
    ) -> Float[Tensor, "B s"]:
        """s_rec of an observation. own: the result of `own(seen.user)`. tokens, shown: as in `forward`."""
        items, feedback = seen.items.T, seen.feedback.T[..., None]  # positions are the first dimension of trackers
        if tokens is None:
            inputs = torch.cat([embedding(items.clamp(min=0), self.items), feedback], dim=-1)
            tracked = self.tracker.over(self.token, inputs, items >= 0)
        else:
            there: Tensor | None = None
            if shown:  # nothing of the window's newer part is padding
                items, feedback = items[-shown:], feedback[-shown:]
            else:
                items, there = items.clamp(min=0), items >= 0
            window = torch.addcmul(embedding(items, tokens.items), feedback, tokens.feedback)
            tracked = self.tracker(window, there, tokens.tracker)
        parts = [tracked]
        if own is not None:
            parts.append(own)
        if seen.preference is not None:
            unit = max(self.high - self.low, 1e-12) / self.config.belief_scale
            parts.append(seen.preference / (self.config.belief**0.5 * unit))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    @property
    def knows_more(self) -> bool:
        """Whether the logits have an `offset`."""
        return bool(self.config.prior) or self.leaving is not None

    def offset(
        self, seen: Observation, slate: Slate | None = None, features: Float[Tensor, "B S d1"] | None = None
    ) -> Float[Tensor, "B A"]:
        """The part of the logits that is not learned (DARLR+): the prior, less caution for items that end a session.

        slate, features: as in `forward`; the padding of slates gets probability 0.
        """
        if slate is None:
            parts = [self._prior(seen)] if self.config.prior else []
            if self.leaving is not None and seen.recent is not None:
                ending = CategoryExit(self.bits, *self.leaving).ending(seen.recent)
                parts.append(-self.config.caution * ending.float())
        else:
            items = slate.known(len(self.items))
            parts = [(slate.items == len(self.items)) * FORBIDDEN]
            if self.config.prior:
                features = embedding(items, self.features) if self.config.belief and features is None else features
                parts.append(self._prior(seen, slate, features))
            if self.leaving is not None and seen.recent is not None:
                ending = CategoryExit(self.bits, *self.leaving).ending_among(seen.recent, items)
                parts.append(-self.config.caution * ending.float())
        return sum(parts[1:], start=parts[0])

    def _prior(self, seen: Observation, slate: Slate | None = None, features: Tensor | None = None) -> Tensor:
        """prior / std(r_start(u, .)) * (r_start(u, i) + theta(h) . x_i - price), centred over items; float32 [B, A].

        What the belief adds to all items alike is taken off again. Where r_start hardly varies it would be so large in
        the logits that their differences are lost to rounding.
        """
        assert self.estimate is not None
        scores = self.estimate.rows(seen.user) if slate is None else slate.scores
        centre = self.centre[seen.user]
        if seen.preference is not None:
            centre = centre + seen.preference @ self.level
            if features is None:
                scores = torch.addmm(scores, seen.preference, self.features.T)
            else:
                scores = torch.baddbmm(scores[..., None], features, seen.preference[..., None]).squeeze(-1)
        if self.dynamics is not None and self.risk is not None and seen.shown is not None and seen.felt is not None:
            session = of_history(seen.user, seen.shown, seen.felt, len(self.items))
            variance = self.dynamics.spread * self.risk.rows(seen.user).clamp(min=LEAST)
            scores = self.dynamics.values(session, scores, variance.sqrt())
        return (scores - centre[:, None]) * self.sharpness[seen.user, None]


def _scales(prior: float | None, reward: Estimate | None) -> dict[str, Tensor]:
    """The centre and the sharpness of each user's prior, float32 [U], where there is a prior.

    It is independent of the unit of rewards, and 0 for users to whom all items give the same reward.
    """
    if not prior:
        return {}
    if reward is None:
        raise ValueError("a recommender with a prior needs an estimate of rewards")
    spread, centre = reward.moments()
    return {"centre": centre, "sharpness": torch.where(spread > 1e-6 * centre.abs(), prior / spread, 0.0)}


def preference(
    features: Float[Tensor, "I d"],
    strength: float,
    items: Int[Tensor, "B T"],
    surprise: Float[Tensor, "B T"],
    there: Bool[Tensor, "B T"],
) -> Float[Tensor, "B d"]:
    """theta(h) of DARLR+: the posterior mean of a user's preference given a session; 0 for a session without items.

    The model is r(u, i) = r_start(u, i) + theta . x_i + noise with theta ~ N(0, strength * noise variance * I), that of
    linear bandits (Li et al. 2010, LinUCB) with another prior mean than 0.
    features: x_i (`World.preference`). surprise: reward less table entry. there: which places hold an item.
    """
    x = features[items.clamp(min=0)] * there[..., None]
    precision = torch.eye(features.shape[1], dtype=x.dtype, device=x.device) + strength * x.mT @ x
    evidence = strength * (x * surprise[..., None]).sum(1)
    factor, _ = torch.linalg.cholesky_ex(precision)  # positive definite: a check would make a GPU wait
    mean: Tensor = torch.cholesky_solve(evidence[..., None], factor).squeeze(-1)
    return mean


def project(layer: nn.Linear, table: Float[Tensor, "U F"], rows: Int[Tensor, "*n"]) -> Tensor:
    """layer(table[rows]), [*n, out], computed once for each distinct row."""
    distinct, place = torch.unique(rows, return_inverse=True)
    return embedding(place, layer(embedding(distinct, table)))
