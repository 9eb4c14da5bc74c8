"""The users that the selector may pick from: everyone, or a pool of candidates for each user (method.md section 4)."""

import torch
from jaxtyping import Int
from torch import Tensor

from darlr.options import SelectorConfig
from darlr.world.tables import World

EVERYONE = 2048  # up to so many users a pick is made from all of them, if the options do not say otherwise
LEAST = 64
CHUNK = 1024  # users whose pools are drawn at once


def candidate_count(config: SelectorConfig, n_users: int) -> int:
    """C, the size of a pool; 0 where everyone is a candidate."""
    asked = config.candidates
    if asked is None:
        asked = 0 if n_users <= EVERYONE else max(LEAST, 4 * config.picks)
    return 0 if asked >= n_users - 1 else asked


def pool_note(config: SelectorConfig, n_users: int) -> str | None:
    """What a run says where the learned selector picks from a pool; None where it picks from everyone."""
    count = candidate_count(config, n_users)
    if config.kind != "learned" or not count:
        return None
    why = f"the default above {EVERYONE:,} users" if config.candidates is None else "as asked"
    return (
        f"the selector picks from {count} candidates for each user, most of them the user's nearest ({why}), not from "
        f"all {n_users:,} users as in the paper: that is another method, whose references are more alike; "
        "--selector.candidates 0 picks from everyone"
    )


def build_pool(world: World, count: int, generator: torch.Generator) -> Int[Tensor, "U C"]:
    """`count` distinct others for each user: three quarters with the largest cos(p_u, p_v), the rest by chance.

    count: below U - 1. Chance falls on those who are not among the nearest, all alike.
    """
    near, _ = world.neighbours(count - count // 4, include_self=False)
    users = torch.arange(world.n_users, device=near.device)
    pools = []
    for rows in torch.split(users, CHUNK):
        keys = torch.rand(len(rows), world.n_users, generator=generator, device=generator.device).to(near.device)
        keys.scatter_(1, torch.cat([rows[:, None], near[rows]], dim=1), -1.0)
        pools.append(torch.cat([near[rows], keys.topk(count // 4, dim=1).indices], dim=1))
    return torch.cat(pools)
