"""What the recommender sees of sessions, what it decides, and what it computes once while its weights stay."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from darlr.agents.tracker import Weights


@dataclass(frozen=True)
class Observation:
    """What the recommender sees of B sessions.

    items: the last w, newest last, -1 = none. feedback: their rewards, scaled to 0..1. preference: inferred from all
    feedback; no columns without `belief`. recent: the items of the exit rule; no columns without `caution`. shown and
    felt: the items and rewards of the whole session, for `price`; no columns without it.
    """

    user: Int[Tensor, " B"]
    items: Int[Tensor, "B w"]
    feedback: Float[Tensor, "B w"]
    preference: Float[Tensor, "B d1"]
    recent: Int[Tensor, "B N"]
    shown: Int[Tensor, "B T"]
    felt: Float[Tensor, "B T"]

    def rows(self, rows: Int[Tensor, " n"] | slice) -> "Observation":
        """The chosen rows."""
        return Observation(*(column[rows] for column in vars(self).values()))


@dataclass(frozen=True)
class Decision:
    """The output of the networks for B sessions: s_rec, unmasked logits and the value."""

    state: Float[Tensor, "B s"]
    logits: Float[Tensor, "B I"]
    value: Float[Tensor, " B"]


class Tokens(NamedTuple):
    """Parts of states, computed once while the weights do not change.

    items: each item's contribution to its token. feedback: the contribution of a scaled reward of 1. users: each user's
    part of the state, or None where the state has no such part or users are many. tracker: the tracker's `weights()`.
    """

    items: Float[Tensor, "I d"]
    feedback: Float[Tensor, " d"]
    users: Float[Tensor, "U d"] | None
    tracker: Weights | None
