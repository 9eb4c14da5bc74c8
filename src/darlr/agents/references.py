"""Reference users: the selector's candidates, and rules without a selector as a comparison (method.md section 4)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.unit import Unit
from darlr.errors import ConfigError
from darlr.methods import References, Step, find
from darlr.options import SelectorConfig, TrainConfig
from darlr.simulation.gym import Paid, RewardSource
from darlr.simulation.session import Session, reset
from darlr.world.approximate import MANY
from darlr.world.tables import World

EVERYONE = 2048  # up to this number of users, the selector picks from all of them by default
LEAST = 64  # the least size of a default pool
POOLED = 1024  # the number of users whose pools are drawn at once
GAINED = 64  # the number of users whose gains are computed at once

ReferenceRule = Callable[[Int[Tensor, " B"], torch.Generator], References]
"""A function from users int64 [B] to their reference users S_t; it may draw from the generator."""


def learns(config: SelectorConfig) -> bool:
    """Whether an agent picks the references."""
    return config.kind == "learned" and config.objective == "reward"


def candidate_count(config: SelectorConfig, n_users: int) -> int:
    """C, the size of a pool; 0 where all users are candidates."""
    asked = config.candidates
    if asked is None:
        asked = 0 if n_users <= EVERYONE else max(LEAST, 4 * config.picks)
    return 0 if asked >= n_users - 1 else asked


def pool_note(config: SelectorConfig, n_users: int) -> str | None:
    """A note for a run whose learned selector picks from a pool; None where it picks from all users."""
    count = candidate_count(config, n_users)
    if not learns(config) or not count:
        return None
    why = f"the default above {EVERYONE:,} users" if config.candidates is None else "as chosen"
    return (
        f"the selector picks from {count} candidates for each user, most of them the user's nearest ({why}), not from "
        f"all {n_users:,} users as in the paper: that is another method, whose references are more alike; "
        "with 0 candidates (option selector.candidates) it picks from all users"
    )


def build_pool(world: World, count: int, generator: torch.Generator) -> Int[Tensor, "U C"]:
    """Draw `count` < U - 1 distinct candidates for each user, who is not among them.

    Three quarters are the users with the largest cos(p_u, p_v). The rest is drawn uniformly from all other users.
    """
    near, _ = world.neighbours(count - count // 4, include_self=False)
    pools = []
    for rows in torch.split(torch.arange(world.n_users, device=near.device), POOLED):
        held = torch.cat([rows[:, None], near[rows]], dim=1)
        if world.n_users > MANY:
            pools.append(torch.cat([near[rows], _drawn(held, count // 4, world.n_users, generator)], dim=1))
            continue
        keys = torch.rand(len(rows), world.n_users, generator=generator, device=generator.device).to(near.device)
        keys.scatter_(1, held, -1.0)
        pools.append(torch.cat([near[rows], keys.topk(count // 4, dim=1).indices], dim=1))
    return torch.cat(pools)


def _drawn(held: Int[Tensor, "B m"], count: int, n_users: int, generator: torch.Generator) -> Int[Tensor, "B n"]:
    """`count` distinct users for each row, none of those held, at a cost that does not depend on the number of users.

    More are drawn than needed. A row that lacks distinct ones even so, which is next to impossible, is drawn again.
    """
    drawn = torch.randint(n_users, (len(held), 2 * count + 8), generator=generator, device=generator.device)
    drawn = drawn.to(held.device)
    both = torch.cat([held, drawn], dim=1)
    order = both.argsort(dim=1, stable=True)
    ordered = both.gather(1, order)
    again = torch.nn.functional.pad(ordered[:, 1:] == ordered[:, :-1], (1, 0))
    fresh = ~torch.zeros_like(again).scatter(1, order, again)[:, held.shape[1] :]
    if bool((fresh.sum(1) < count).any()):
        return _drawn(held, count, n_users, generator)
    place = fresh.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
    return drawn.gather(1, place)


def build_references(world: World, config: SelectorConfig) -> ReferenceRule | None:
    """The rule that `config.kind` names; None for the learned selector.

    Raises ConfigError when there are fewer than K_sel other users.
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
    """For every user, the K other users with the largest cos(p_u, p_v), best first."""
    users, cosine = world.neighbours(picks, include_self=False)
    gains = [diversity(world, part) for part in torch.split(users, GAINED)]
    return References(users, cosine.mean(1), torch.cat(gains))


def uniform(world: World, picks: int, user: Int[Tensor, " B"], generator: torch.Generator) -> References:
    """K distinct other users, drawn afresh at each call; every set and order is equally likely."""
    keys = torch.rand(user.shape[0], world.n_users, generator=generator, device=generator.device).to(user.device)
    users = keys.scatter(1, user[:, None], -1.0).topk(picks, dim=1).indices
    return References(users, world.similarity(user[:, None], users).mean(1), diversity(world, users))


def alone(world: World, user: Int[Tensor, " B"]) -> References:
    """The user itself: Eq. 15 then gives its own entry of the start table, and Eq. 16 gives 0."""
    return References(user[:, None], world.similarity(user, user), torch.zeros(user.shape[0], device=user.device))


def attended(world: World, picks: int, session: Session, item: Int[Tensor, " B"]) -> References:
    """References that likelihood weighs (`darlr.world.attention`). r_sim and r_div are weighted means over them.

    r_div is the mean of 1 - cos over pairs drawn by the weights. `users` are those of the K largest weights, and the
    user itself where fewer have any.
    """
    assert world.attention is not None
    shown, user = session.items, session.user
    felt = session.rewards - world.reward.pairs(user[:, None], shown.clamp(min=0))
    found = world.attention.attend(user, item, shown, felt)
    share = found.weight / found.weight.sum(1, keepdim=True).clamp(min=1e-12)
    mean = share @ world.unit
    similarity, alike = (world.unit[user] * mean).sum(1), mean.square().sum(1)
    most = found.weight.topk(picks, dim=1)
    users = torch.where(most.values > 0, most.indices, user[:, None])
    return References(users, similarity, share.sum(1) - alike, found.shift)


def diversity(world: World, users: Int[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """r_div of Eq. 16: the mean of `distances` over the picks."""
    return distances(world.similarities(users)).mean(1)


def distances(cosines: Float[Tensor, "B K K"]) -> Float[Tensor, "B K"]:
    """The last term of Eq. 12: mean over earlier picks v' of 1 - cos(p_v', p_v), 0 at the first pick."""
    earlier = torch.arange(cosines.shape[-1], device=cosines.device)
    return (1.0 - cosines).tril(-1).sum(-1) / earlier.clamp(min=1)


def method_rewards(world: World, config: TrainConfig, unit: Unit) -> RewardSource:
    """The rewards of a method for agents from elsewhere (`darlr.simulation.gym`): r - lambda_U P_U + lambda_E P_E.

    The nearest users stand in for a learned selector's picks, and the tables stay as they are before training.
    Rewards are in `unit`, that of the log.
    """
    method, generator = find(config.method), torch.Generator(config.device).manual_seed(config.seed)
    tables, references = method.tables(world, config), None
    if method.references:
        kind = "nearest" if config.selector.kind == "learned" else config.selector.kind
        references = build_references(world, replace(config.selector, kind=kind))

    def pays(user: Tensor, item: Tensor, last: Tensor) -> Paid:
        picked = None if references is None else references(user, generator)
        if method.references and world.attention is not None:
            picked = attended(world, config.selector.picks, reset(user, world.n_items, 1), item)
        shaped = method.pay(tables, Step(user, item, last, picked), config.reward)
        return Paid(unit.show(shaped.estimate), unit.show(shaped.reward(config.reward)))

    return pays
