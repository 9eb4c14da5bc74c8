"""Reference users without a selector, as a comparison for learned selection (docs/method.md section 4)."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.errors import ConfigError
from darlr.methods.rewards import References
from darlr.options import SelectorConfig
from darlr.world.tables import World

CHUNK = 64  # users whose gains are computed at once

ReferenceRule = Callable[[Int[Tensor, " B"], torch.Generator], References]
"""Reference users S_t of users int64 [B]; the generator is for the picks."""


def build_references(world: World, config: SelectorConfig) -> ReferenceRule | None:
    """The rule that `config.kind` names, None where the selector learns it.

    Raises ConfigError when a user has fewer than K_sel others to pick from.
    """
    if config.kind == "learned":
        return None
    if config.kind == "none":
        return lambda user, _: alone(world, user)
    require_others(config.picks, world.n_users)
    if config.kind == "random":
        return partial(uniform, world, config.picks)
    table = nearest(world, config.picks)
    return lambda user, _: References(table.users[user], table.similarity[user], table.diversity[user])


def require_others(picks: int, n_users: int) -> None:
    """Raise ConfigError when there are not `picks` users besides a user itself."""
    if picks >= n_users:
        raise ConfigError(
            f"option selector.picks: {picks} reference users are asked for, but a user has only {n_users - 1} others"
        )


def nearest(world: World, picks: int) -> References:
    """The K other users with the largest cos(p_u, p_v), best first, of every user: row u is that of user u."""
    users, cosine = world.neighbours(picks, include_self=False)
    gains = [diversity(world, part) for part in torch.split(users, CHUNK)]
    return References(users, cosine.mean(1), torch.cat(gains))


def uniform(world: World, picks: int, user: Int[Tensor, " B"], generator: torch.Generator) -> References:
    """K distinct other users, every set and order equally likely, drawn afresh at each call."""
    keys = torch.rand(user.shape[0], world.n_users, generator=generator, device=generator.device).to(user.device)
    users = keys.scatter(1, user[:, None], -1.0).topk(picks, dim=1).indices
    return References(users, world.similarity(user[:, None], users).mean(1), diversity(world, users))


def alone(world: World, user: Int[Tensor, " B"]) -> References:
    """The user itself: Eq. 15 then gives its own entry of the start table, and Eq. 16 gives 0."""
    return References(user[:, None], world.similarity(user, user), torch.zeros(user.shape[0], device=user.device))


def diversity(world: World, users: Int[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """r_div: mean over the picks, in order, of their `distances`."""
    return distances(world.similarities(users)).mean(1)


def distances(cosines: Float[Tensor, "B K K"]) -> Float[Tensor, "B K"]:
    """Mean over earlier picks v' of 1 - cos(p_v', p_v), 0 at the first pick. cosines: of all pairs of the picks."""
    earlier = torch.arange(cosines.shape[-1], device=cosines.device)
    return (1.0 - cosines).tril(-1).sum(-1) / earlier.clamp(min=1)
