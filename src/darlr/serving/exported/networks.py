"""The logits of a recommender: its networks as a graph, and the parts that are not learned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darlr.serving.exported.parts import Certainty, Codes, Ends, Floats, clipped, times

if TYPE_CHECKING:
    from darlr.serving.exported.runtime import Graph


@dataclass(frozen=True)
class Start:
    """What logits start from: rows of expected rewards [B, I], and their mean and prior / deviation, [B]."""

    rows: Floats
    centre: Floats
    sharpness: Floats


@dataclass(frozen=True)
class Settings:
    """What is known of the networks' options. window: of the tracker. dim: of `own`, 0 for none.

    feedback: whether states hold rewards. prior, belief, caution, belief_scale: as in `RecommenderConfig`, 0 for none.
    """

    window: int
    dim: int
    feedback: bool
    prior: float
    belief: float
    caution: float
    belief_scale: float


@dataclass(frozen=True)
class Networks:
    """A recommender (`darlr.agents.recommender`). features: [I, d1], for a belief. leaving: for caution.

    certainty: what the log says of users' preferences.
    """

    graph: "Graph"
    config: Settings
    reward_range: tuple[float, float]
    features: Floats | None
    leaving: Ends | None
    certainty: Certainty | None = None

    def logits(
        self, items: Codes, rewards: Floats, own: Floats | None, start: Start | None, user: Codes | None = None
    ) -> Floats:
        """The logits [B, I] of sessions. own: the users' part of the state. start: for a prior and for a belief.

        user: the codes of users of the log.
        """
        preference = self._preference(items, rewards, start, user)
        found = self.graph(self._seen(items, rewards, own, preference))
        parts = []
        if self.config.prior and start is not None:
            rows, centre = start.rows, start.centre
            if self.features is not None and preference is not None:
                rows, centre = rows + times(self.features, preference), centre + preference @ self.features.mean(0)
            parts.append((rows - centre[:, None]) * start.sharpness[:, None])
        if self.leaving is not None:
            parts.append(np.float32(-self.config.caution) * self.leaving.ending(items))
        return found + sum(parts[1:], start=parts[0]) if parts else found

    def _seen(
        self, items: Codes, rewards: Floats, own: Floats | None, preference: Floats | None
    ) -> dict[str, NDArray[Any]]:
        """The inputs of the graph, as `Recommender.observe` makes them."""
        low, high = self.reward_range
        window, width = self.config.window, max(high - low, 1e-12)
        missing = max(0, window - items.shape[1])
        recent = np.pad(items[:, -window:], ((0, 0), (missing, 0)), constant_values=-1)
        scaled = (np.pad(rewards[:, -window:], ((0, 0), (missing, 0))) - np.float32(low)) / np.float32(width)
        feedback = clipped(scaled, (0, 1)) if self.config.feedback else np.zeros_like(scaled)
        given = {"items": recent, "feedback": np.where(recent < 0, np.float32(0), feedback) if low < 0 else feedback}
        if own is not None and self.config.dim:
            given["own"] = own
        if preference is not None:
            given["preference"] = preference / np.float32(self.config.belief**0.5 * (width / self.config.belief_scale))
        return given

    def _preference(self, items: Codes, rewards: Floats, start: Start | None, user: Codes | None) -> Floats | None:
        """The posterior mean of theta given the surprise at each answer, [B, d1], as `Recommender.observe` has it."""
        if self.features is None or start is None:
            return None
        known = np.maximum(items, 0)
        there = (items >= 0) & self.config.feedback
        surprise = clipped(rewards, self.reward_range) - np.take_along_axis(start.rows, known, 1)
        if self.certainty is not None and user is not None:  # logged items tell nothing new: their surprise is 0
            logged = self.certainty.logged(user)
            known, there = np.concatenate([np.maximum(logged, 0), known], 1), np.concatenate([logged >= 0, there], 1)
            surprise = np.concatenate([np.zeros(logged.shape, np.float32), surprise], 1)
        share = there / np.sqrt(1.0 if self.certainty is None else self.certainty.noise[known].astype(np.float64))
        x, strength = self.features[known].astype(np.float64) * share[..., None], self.config.belief
        precision = np.eye(x.shape[-1]) + strength * x.mT @ x
        evidence = strength * (x.mT @ (surprise * share)[..., None])
        return np.linalg.solve(precision, evidence)[..., 0].astype(np.float32)
