"""Worlds that are drawn from the posterior of a world model, in which simulated sessions are played (`session.tastes`).

In the mean world r_0 a session says nothing: its feedback is what the policy expects already. In life it tells how the
user departs from what the log says. A drawn world has such a departure: what one draw predicts of a user and an item,
less the mean of all draws. Draws are those of a Gibbs sampler, or the members of an ensemble where there is no
posterior. The departure is added to whatever a method estimates, so that all methods are played in the same worlds, and
the mean of all worlds is the method's own. Feedback has the noise of the item's rewards on top.

Training is played in every other draw. The others are worlds that it never met (`darlr.experiments.watch`).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.errors import ConfigError
from darlr.io.memory import require_free
from darlr.options import WorldModelConfig
from darlr.world.estimates import Above, Estimate
from darlr.world.fitted import FittedWorldModel
from darlr.world.hashing import normals
from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.mixture import posterior_of
from darlr.world.noise import mean_risk
from darlr.world.noise import of_posterior as noise_of

NUMBERS = 1 << 26  # the most numbers of draws of factors that are held; of more draws, evenly spread ones are taken


@runtime_checkable
class Draws(Protocol):
    """Draws of the expected rewards of all users and items."""

    @property
    def count(self) -> int:
        """S, the number of draws."""
        ...

    def departure(
        self, draw: Int[Tensor, " B"], user: Int[Tensor, " B"], item: Int[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        """What the draws predict of the pairs, less the mean of all draws, in units of reward."""
        ...


@dataclass(frozen=True)
class Factors(Draws):
    """Draws whose predictions are dot products. left: [S, U, p] and right: [S, I, p], of users and items."""

    left: Float[Tensor, "S U p"]
    right: Float[Tensor, "S I p"]

    @property
    def count(self) -> int:
        """S."""
        return len(self.left)

    def departure(self, draw: Tensor, user: Tensor, item: Tensor) -> Tensor:
        """See `Draws`; every draw of the pairs is computed."""
        every = (self.left[:, user] * self.right[:, item]).sum(-1)
        return every.gather(0, draw[None]).squeeze(0) - every.mean(0)


@dataclass(frozen=True)
class Members(Draws):
    """The members of an ensemble. table: float32 [K, U, I], their departures."""

    table: Float[Tensor, "K U I"]

    @property
    def count(self) -> int:
        """K."""
        return len(self.table)

    def departure(self, draw: Tensor, user: Tensor, item: Tensor) -> Tensor:
        """See `Draws`."""
        return self.table[draw, user, item]


@dataclass(frozen=True)
class Taste:
    """What a world adds in one turn of B sessions: the departure of the expected reward, and noise of the feedback."""

    departure: Float[Tensor, " B"]
    noise: Float[Tensor, " B"]


@dataclass(frozen=True)
class Tastes:
    """Drawn worlds. noise: float32 [I], the variance of an item's rewards. low, high: the range of expected rewards."""

    draws: Draws
    noise: Float[Tensor, " I"]
    low: float
    high: float

    def sample(self, shape: tuple[int, ...], generator: torch.Generator, met: bool = True) -> Tensor:
        """Draws for sessions, int64 of this shape. met: whether of the half that training plays, or of the other."""
        half = self.draws.count - self.draws.count // 2 if met else self.draws.count // 2
        return 2 * torch.randint(half, shape, generator=generator, device=generator.device) + (not met)

    def of(self, draw: Tensor, user: Tensor, item: Tensor, estimate: Tensor, normal: Tensor) -> Taste:
        """What the draws int64 [B] add to these estimates [B] of pairs. normal: standard normal numbers [B]."""
        inside = (estimate + self.draws.departure(draw, user, item)).clamp(self.low, self.high)
        return Taste(inside - estimate, normal * self.noise[item].sqrt())


@dataclass(frozen=True)
class DrawnRows(Above):
    """The rewards of n sessions, each with a user and a draw: expected ones, or with the noise of its feedback.

    base: r_0. user, draw: int64 [n]. Noise is a hash of the session, the item and the seed, so that all policies are
    told the same of an item.
    """

    base: Estimate
    tastes: Tastes
    user: Int[Tensor, " n"]
    draw: Int[Tensor, " n"]
    noisy: bool = True
    seed: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(n, I)."""
        return len(self.user), self.base.shape[1]

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The rewards of sessions and items."""
        session, item = torch.broadcast_tensors(user, item)  # type: ignore[no-untyped-call]
        flat, shown = session.flatten(), item.flatten()
        known, normal = self.user[flat], normals(flat, shown, 1, self.seed).squeeze(1)
        estimate = self.base.pairs(known, shown)
        found = self.tastes.of(self.draw[flat], known, shown, estimate, normal)
        total: Tensor = estimate + found.departure + found.noise * self.noisy
        return total.view(session.shape)

    def bounds(self) -> tuple[float, float]:
        """The range of expected rewards."""
        return self.tastes.low, self.tastes.high


def of_posterior(model: BayesianFM, spread: float, users: Tensor, items: Tensor) -> Factors:
    """The draws of a factorisation machine in units of reward. spread: the deviation of rewards (`Scale`)."""
    draws, width = model.user_linear.shape[0] * model.user_linear.shape[1], model.user_vector.shape[-1] + 2
    some = slice(None, None, max(1, -(-draws * (len(users) + len(items)) * width // NUMBERS)))

    def side(linear: Tensor, vector: Tensor, codes: Tensor, *, first: bool) -> Tensor:
        own, along = (table.flatten(0, 1)[some][:, codes] for table in (linear, vector))
        one = torch.ones_like(own)
        return torch.cat([along, torch.stack([own, one] if first else [one, own], -1)], -1)

    left = side(model.user_linear, model.user_vector, users, first=True) * spread
    return Factors(left, side(model.item_linear, model.item_vector, items, first=False))


def of_members(predicted: Float[Tensor, "K U I"]) -> Members:
    """The members of an ensemble by their predictions, in units of reward."""
    return Members(predicted - predicted.mean(0))


def require_draws(config: WorldModelConfig, members: int) -> None:
    """Raise ConfigError for a world model all of whose draws are alike, or whose members have no tables.

    config: its options, of which the kind and the estimates are not auto. members: of the model.
    """
    if config.kind not in ("bayesian", "mixed") and (members < 2 or config.estimates == "factors"):
        lacks = "has 1" if members < 2 else "holds no tables of its members, as the world is large"
        raise ConfigError(
            "option session.tastes: drawn needs a world model with a posterior, or a table of at least 2 members, and "
            f"this one {lacks}; choose model.kind bayesian, or set session.tastes to mean"
        )


def tastes_of(fitted: FittedWorldModel, log: InteractionLog) -> Tastes:
    """The drawn worlds of a world model. log: the events that it was fitted to.

    Raises ConfigError where all draws are alike, or a table of each member would be needed and estimates are no tables.
    """
    low, high = fitted.reward_range
    posterior = posterior_of(fitted.model)
    if posterior is not None:
        wider = fitted.answers.known  # of the variable behind clipped rewards; expected rewards are clipped, too
        draws: Draws = of_posterior(posterior, fitted.scale.spread * wider**0.5, fitted.users, fitted.items)
        return Tastes(draws, noise_of(posterior, fitted.scale, log) * wider, low, high)
    require_draws(fitted.config, fitted.model.members)
    cells = fitted.model.members * len(fitted.users) * len(fitted.items)
    require_free(8 * cells, "tables of all members of the world model", "choose model.kind bayesian")
    return Tastes(of_members(fitted.predict_members()[0]), mean_risk(fitted.risk), low, high)
