"""The users whom the selector can pick: all users, or a pool of candidates for each user (method.md section 4)."""

import torch
from jaxtyping import Int
from torch import Tensor

from darlr.options import SelectorConfig
from darlr.world.tables import World

EVERYONE = 2048  # by default, the selector picks from all users where there are at most so many
LEAST = 64  # the least size of a default pool
CHUNK = 1024  # the number of users whose pools are drawn in one batch


def candidate_count(config: SelectorConfig, n_users: int) -> int:
    """C, the size of a pool; 0 where all users are candidates."""
    asked = config.candidates
    if asked is None:
        asked = 0 if n_users <= EVERYONE else max(LEAST, 4 * config.picks)
    return 0 if asked >= n_users - 1 else asked


def pool_note(config: SelectorConfig, n_users: int) -> str | None:
    """The note of a run whose learned selector picks from a pool; None where it picks from all users."""
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
    """Draw `count` distinct candidates for each user, who is none of them. count: below U - 1.

    Three quarters are the users with the largest cos(p_u, p_v). The rest is drawn uniformly from all other users.
    """
    near, _ = world.neighbours(count - count // 4, include_self=False)
    users = torch.arange(world.n_users, device=near.device)
    pools = []
    for rows in torch.split(users, CHUNK):
        keys = torch.rand(len(rows), world.n_users, generator=generator, device=generator.device).to(near.device)
        keys.scatter_(1, torch.cat([rows[:, None], near[rows]], dim=1), -1.0)
        pools.append(torch.cat([near[rows], keys.topk(count // 4, dim=1).indices], dim=1))
    return torch.cat(pools)
