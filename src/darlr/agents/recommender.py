"""The recommender agent: what it sees of a session, its networks, and itself as a policy."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from darlr.agents.actor_critic import ActorCritic
from darlr.agents.tracker import build_tracker
from darlr.config import RecommenderConfig
from darlr.simulation.session import Session, last_items, last_rewards


@dataclass(frozen=True)
class Observation:
    """What the recommender sees of B sessions.

    user: int64 [B]. items: int64 [B, w], newest last, -1 = none. feedback: float32 [B, w], rewards scaled to 0..1.
    """

    user: Int[Tensor, " B"]
    items: Int[Tensor, "B w"]
    feedback: Float[Tensor, "B w"]

    def rows(self, rows: Int[Tensor, " n"]) -> "Observation":
        """The chosen rows."""
        return Observation(self.user[rows], self.items[rows], self.feedback[rows])


@dataclass(frozen=True)
class Decision:
    """Networks' answer for B sessions: s_rec [B, s], unmasked logits [B, I], value [B]."""

    state: Float[Tensor, "B s"]
    logits: Float[Tensor, "B I"]
    value: Float[Tensor, " B"]


class Recommender(nn.Module):
    """Token = [item vector, scaled reward]; state = tracker output, joined with the user's projected p_u if asked."""

    items: Tensor
    users: Tensor
    scores: Tensor

    def __init__(
        self,
        config: RecommenderConfig,
        item_vectors: Float[Tensor, "I d"],
        user_features: Float[Tensor, "U F"],
        reward_range: tuple[float, float],
        scores: Float[Tensor, "U I"] | None = None,
    ) -> None:
        """user_features: p of every user, standardised; reward_range: (least, largest) logged reward.

        scores: r0, standardised in each row; needed when `config.prior` is not 0.
        """
        super().__init__()
        self.config = config
        self.low, self.high = reward_range
        self.register_buffer("items", item_vectors, persistent=False)
        self.register_buffer("users", user_features, persistent=False)
        if config.prior:
            if scores is None:
                raise ValueError("a recommender with a prior needs the world model's scores")
            self.register_buffer("scores", scores, persistent=False)
        dim = config.tracker.dim
        self.token = nn.Linear(item_vectors.shape[1] + 1, dim)
        self.tracker = build_tracker(config.tracker)
        self.user = nn.Linear(user_features.shape[1], dim) if config.user_in_state else None
        self.state_dim = 2 * dim if config.user_in_state else dim
        self.heads = ActorCritic(self.state_dim, config.a2c.hidden, item_vectors.shape[0])

    def observe(self, session: Session) -> Observation:
        """The part of a session that the agent sees; rewards outside the logged range are clipped to it."""
        window = self.config.tracker.window
        items = last_items(session, window)
        scaled = (last_rewards(session, window) - self.low) / max(self.high - self.low, 1e-12)
        feedback = scaled.clamp(0, 1) if self.config.feedback_in_state else torch.zeros_like(scaled)
        return Observation(session.user, items, feedback.masked_fill(items < 0, 0.0))

    def forward(self, seen: Observation) -> Decision:
        """State, logits and value for what is seen."""
        items = seen.items.T  # trackers take positions first
        tokens = self.token(torch.cat([self.items[items.clamp(min=0)], seen.feedback.T[..., None]], dim=-1))
        state = self.tracker(tokens, items >= 0)
        if self.user is not None:
            state = torch.cat([state, project(self.user, self.users, seen.user)], dim=-1)
        logits, value = self.heads(state)
        if self.config.prior:
            logits = logits + self.config.prior * self.scores[seen.user]
        return Decision(state, logits, value)


def project(layer: nn.Linear, table: Float[Tensor, "U F"], rows: Int[Tensor, "*n"]) -> Tensor:
    """layer(table[rows]), [*n, out], in whichever order needs fewer products."""
    if rows.numel() >= table.shape[0]:
        every: Tensor = layer(table)
        return every[rows]
    some: Tensor = layer(table[rows])
    return some


def standardise(indicator: Float[Tensor, "U F"]) -> Float[Tensor, "U F"]:
    """p centred by column and scaled as a whole: what a linear layer with bias could do itself, done once.

    Raw rows of positive rewards are nearly equal, which slows learning down.
    """
    centred = indicator - indicator.mean(0)
    return centred / (centred.std() + 1e-12)


def standardise_rows(reward: Float[Tensor, "U I"]) -> Float[Tensor, "U I"]:
    """Each row with mean 0 and standard deviation 1: a prior of one strength whatever the unit of rewards."""
    centred = reward - reward.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True).sqrt() + 1e-12)


@dataclass(frozen=True)
class RecommenderPolicy:
    """A trained recommender behind the `Policy` interface."""

    recommender: Recommender

    @torch.inference_mode()
    def scores(self, session: Session) -> Tensor:
        """Logits [B, I]; the selector is not needed."""
        decision: Decision = self.recommender(self.recommender.observe(session))
        return decision.logits
