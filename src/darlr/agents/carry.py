"""Start the agents from those of an earlier run, after its log was extended: known users and items keep their codes.

A weight that reads or gives a number for each user or item is longer now: what it knows stays, and the rest begins
anew. A weight that reads coordinates, such as item vectors, is turned onto those of the new world model, in which the
same directions have other axes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from darlr.agents.learner import Learner
from darlr.errors import RunError
from darlr.world.estimates import Changeable, Dense
from darlr.world.kind import part
from darlr.world.low_rank import LowRank
from darlr.world.tables import World


@dataclass(frozen=True)
class Before:
    """The agents of an earlier run. tensors: those of its newest checkpoint, with its policy's weights. world: its."""

    tensors: Mapping[str, Tensor]
    world: World


@torch.no_grad()
def carry(learner: Learner, world: World, before: Before, changed: Int[Tensor, " n"]) -> None:
    """Give a new learner the weights of an earlier one, and its r_prev but for the users `changed`.

    world: the tables of the learner. changed: the scope codes of users with new events; r_prev of these starts anew.
    Raises RunError where the earlier run had other networks.
    """
    recommender, old = learner.recommender, before.world
    items = _beside(turned(old.item_vectors, world.item_vectors), 1)
    users = turned(old.user_features, world.user_features) if isinstance(world.reward, LowRank) else None
    state = None
    if world.preference is not None and old.preference is not None:
        # rewards theta . x stay, so that preferences theta turn as the items' features x do not: the other way
        tastes = turned(world.preference, old.preference).T
        state = _beside(tastes, recommender.state_dim - len(tastes), first=True)
    heads = ("heads.trunk.0.weight",) if len(recommender.heads.trunk) else ("heads.actor.weight", "heads.critic.weight")
    reads = {"token.weight": items, "user.weight": users} | dict.fromkeys(heads, state)
    _take(recommender, part(before.tensors, "recommender."), reads)
    if learner.selector is not None:
        read = {"projection.weight": users, "from_state.weight": state}
        _take(learner.selector, part(before.tensors, "selector."), read)
    if learner.refined is not None:
        _keep_refined(learner.refined, part(before.tensors, "previous."), old, changed)


def turned(old: Float[Tensor, "n d"], new: Float[Tensor, "m e"]) -> Float[Tensor, "e d"]:
    """The matrix M with new M = old for the rows that both have, the first ones, by least squares."""
    rows = min(len(old), len(new))
    a, b = (side[:rows].double().cpu() for side in (new, old))
    solved: Tensor = torch.linalg.lstsq(a, b, driver="gelsd").solution
    return solved.float()


def _beside(matrix: Float[Tensor, "e d"], count: int, first: bool = False) -> Tensor:
    """The matrix for more coordinates, of which it leaves the last `count`, or the first, as they are."""
    parts = (torch.eye(count), matrix) if first else (matrix, torch.eye(count))
    joined: Tensor = torch.block_diag(*parts)  # type: ignore[no-untyped-call]
    return joined


def _take(networks: nn.Module, old: Mapping[str, Tensor], reads: Mapping[str, Tensor | None]) -> None:
    """Copy weights. reads: for weights that read coordinates, the matrix that leads from new ones to old ones."""
    for name, weight in networks.state_dict().items():
        if name not in old or old[name].dim() != weight.dim():
            raise RunError(f"the run to continue has other networks ({name} differs); train anew")
        known, matrix = old[name].to(weight.device), reads.get(name)
        if matrix is not None:
            known = known @ matrix.to(weight.device).T
        both = tuple(slice(0, min(sizes)) for sizes in zip(known.shape, weight.shape, strict=True))
        weight[both] = known[both]


def _keep_refined(refined: Changeable, old: Mapping[str, Tensor], before: World, changed: Tensor) -> None:
    """Write the earlier r_prev of all users but those in `changed`."""
    kept = torch.ones(before.n_users, dtype=torch.bool)
    kept[changed[changed < before.n_users].cpu()] = False
    if isinstance(refined, Dense) and "table" in old:
        rows = kept.nonzero().squeeze(1)
        refined.table[rows, : before.n_items] = old["table"][rows].to(refined.device)
    elif "cell" in old:
        user, item = old["cell"] // before.n_items, old["cell"] % before.n_items
        some = kept[user]
        refined.write(*(side[some].to(refined.device) for side in (user, item, old["value"])))
