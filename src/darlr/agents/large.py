"""What keeps the cost of a training step independent of the number of users and items, where there are many."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from darlr.agents.a2c import Decisions
from darlr.agents.actor_critic import Actor
from darlr.world.approximate import MANY


@contextmanager
def touched(
    actor: Actor, optimiser: torch.optim.Optimizer, pool: Tensor | None
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Reduce the last layer of an actor to the actions of a rollout while its decisions are learned from.

    pool: int64, all actions that the rollout could take; None means all actions. Yields the function from actions to
    rows of the reduced layer. Other rows keep their weights and Adam's moments, as in the sparse version of Adam; the
    usual version would move them by what their moments still hold. With at most MANY actions nothing is reduced.
    """
    if pool is None or len(actor.weight) <= MANY:
        yield lambda action: action
        return
    held = torch.zeros(len(actor.weight), dtype=torch.bool, device=pool.device)
    held[pool.flatten()] = True
    rows, place = held.nonzero().squeeze(1), held.cumsum(0) - 1
    whole = [(parameter, parameter.data, _moments(optimiser, parameter)) for parameter in (actor.weight, actor.bias)]
    for parameter, values, moments in whole:
        parameter.data = values.index_select(0, rows)
        optimiser.state[parameter].update({name: moment.index_select(0, rows) for name, moment in moments.items()})
    try:
        yield place.__getitem__
    finally:
        for parameter, values, moments in whole:
            for name, moment in _moments(optimiser, parameter).items():
                kept = moments.get(name)
                kept = torch.zeros_like(values) if kept is None else kept  # there are none before the first step
                optimiser.state[parameter][name] = kept.index_copy_(0, rows, moment)
            parameter.data, parameter.grad = values.index_copy_(0, rows, parameter.data), None


def _moments(optimiser: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """Adam's moments of a parameter by name, which are of its shape."""
    return {name: one for name, one in optimiser.state[parameter].items() if one.shape == parameter.shape}


GROUP = 8  # the most decisions of a group


def grouped(decisions: Decisions, user: Int[Tensor, " N"], pool: Int[Tensor, "N C"]) -> Decisions:
    """The same decisions in groups of one user, so that the weights of a user's candidates are read once for a group.

    user: of each decision. pool: the candidates of each decision, which are the same for all of a user. Groups have the
    size of the mean number of decisions of a user and are filled up with copies that do not count.
    """
    ordered, index = user.sort(stable=True)
    _, run, count = ordered.unique_consecutive(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    size = min(GROUP, max(1, round(len(user) / len(count))))
    padded = (count + size - 1) // size * size
    start = count.cumsum(0) - count
    position = (padded.cumsum(0) - padded - start)[run] + torch.arange(len(user), device=user.device)
    place = index[start].repeat_interleave(padded)
    place[position] = index
    order = torch.empty_like(index).index_copy_(0, index, position)
    offset = decisions.offset
    return replace(
        decisions,
        hidden=decisions.hidden[place],
        action=decisions.action[place],
        excluded=decisions.excluded[place],
        offset=None if offset is None else lambda rows: offset(place[rows]),
        pool=pool[place[::size]],
        order=order,
    )
