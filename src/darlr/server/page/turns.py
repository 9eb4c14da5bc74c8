"""One turn of a session on the page: the next items, what the answers changed, and the popularity list beside."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.errors import ConfigError, DarlrError
from darlr.server.engine import Chosen
from darlr.server.page.messages import Beside, Card, Reasons, Reference, Taste, Turn
from darlr.server.page.opened import TEXT, Opened
from darlr.serving.asked import Asked
from darlr.serving.given import unknown_items
from darlr.serving.ids import Id
from darlr.serving.newcomers import Newcomers
from darlr.serving.policy import session_of
from darlr.simulation.exits import never
from darlr.simulation.felt import FeltRule

Numbers = NDArray[np.floating]
TASTES, ENDERS = 5, 8  # the number of categories and items that are named at either end, and of items that end it
NEW = "A new user has no reference users. The estimates come from the answers, which are folded into the world model."


def turn_of(opened: Opened, asked: Asked, chosen: Chosen) -> Turn:
    """Everything that the page shows after an answer. chosen: the next items, from the inference thread."""
    before, moved = estimates(opened, asked)
    ending = _ending(opened, asked.items)
    cards = [
        Card(
            **dict(opened.item(code)),
            rank=rank,
            score=score,
            propensity=chance,
            expected=None if before is None else float(before[code]),
            moved=None if moved is None else float(moved[code]),
            ends=None if ending is None else bool(ending[code]),
        )
        for rank, (code, score, chance) in enumerate(
            zip(chosen.codes, chosen.scores, chosen.propensities, strict=True), start=1
        )
    ]
    categories, items = _tastes(opened, asked, moved)
    enders = None if ending is None else _enders(opened, asked.items, ending)
    return Turn(
        user_known=asked.code is not None,
        cards=cards,
        shown=[opened.item(code) for code in asked.items],
        categories=categories,
        taste=items,
        beside=_beside(opened, asked, before, moved),
        ending=None if enders is None else len(enders),
        enders=[str(opened.policy.items.ids[code]) for code in (enders or [])[:ENDERS]],
        ended=_ended(opened, asked),
        warnings=unknown_items("history", asked.unknown),
    )


def estimates(opened: Opened, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
    """The rewards of all items that were expected before the session, and by how much the answers moved them, [I].

    They are in the unit of the log. For a user of the log the first are r0, and a belief (DARLR+) moves them. For a new
    user both are of the exact belief, or else of the fold-in. None where the policy has no such thing.
    """
    policy = opened.policy
    unit, session = policy.unit, session_of([asked], len(policy.items.ids), policy.unit)
    with torch.inference_mode():
        if asked.code is None:
            nobody = torch.full_like(session.items, -1)
            mean, now = (_folded(policy.newcomers, items, session.rewards) for items in (nobody, session.items))
            return unit.show(mean), (now - mean) * unit.scale
        before, moved, own = None, None, opened.recommender
        if opened.run is not None:
            before = unit.show(opened.run.world.reward.rows(torch.tensor([asked.code]))[0])
        if own is not None and (preference := own.observe(session).preference) is not None:
            moved = (own.features @ preference[0]) * unit.scale
        return before, moved


def _folded(newcomers: Newcomers, items: Tensor, rewards: Tensor) -> Tensor:
    """The expected rewards of a new user with this history, [I], in the unit of learning."""
    if newcomers.believed is None:
        return newcomers.fold_in.fold_in(items, rewards)[0]
    found = newcomers.believed.belief.given(items, rewards)
    return found.rows(found.theta()).clamp(*newcomers.fold_in.reward_range)[0]


def _recent(items: Sequence[int], window: int) -> Tensor:
    """The last items as an exit rule reads them, int64 [1, N]."""
    padded = [-1] * window + list(items)
    return torch.tensor([padded[len(padded) - window :]])


def _ending(opened: Opened, items: Sequence[int]) -> Tensor | None:
    """Which items would end the session now, bool [I]; None where that is unknown."""
    if opened.rule is None:
        return None
    return opened.rule.ending(_recent(items, opened.rule.window))[0].expand(len(opened.policy.items.ids))


def _enders(opened: Opened, shown: Sequence[int], ending: Tensor) -> list[int]:
    """The items that would end the session and were not shown, the most popular first."""
    order = opened.by_popularity[ending.numpy()[opened.by_popularity]]
    found: list[int] = order[~np.isin(order, shown)].tolist()
    return found


def _leaves(opened: Opened, items: Sequence[int]) -> bool:
    """Whether the last item made the user leave."""
    rule = opened.rule
    if not items or rule is None or rule is never:
        return False
    return bool(rule.leaves(_recent(items[:-1], rule.window), torch.tensor([items[-1]])))


def _disappointed(opened: Opened, asked: Asked) -> bool:
    """Whether the last reward made the user leave."""
    policy, rule = opened.policy, opened.rule
    if not isinstance(rule, FeltRule) or not asked.items:
        return False
    before = replace(asked, items=asked.items[:-1], rewards=asked.rewards[:-1])
    session = session_of([before], len(policy.items.ids), policy.unit)
    rule = rule if asked.code is not None else rule.of_new_users
    return bool(rule.felt(session, torch.tensor(asked.items[-1:]), torch.tensor(asked.rewards[-1:])))


def _ended(opened: Opened, asked: Asked) -> str | None:
    items = asked.items
    if _leaves(opened, items) or _disappointed(opened, asked):
        return "exit"
    count = len(opened.policy.items.ids)
    return "turns" if items and len(items) >= min(opened.turns or count, count) else None


def _tastes(opened: Opened, asked: Asked, moved: Tensor | None) -> tuple[list[Taste], list[Taste]]:
    """The categories and the items whose expected reward was moved most, the largest rise first."""
    if moved is None or not asked.items:
        return [], []
    ids = opened.policy.items.ids
    items = _ends(moved.numpy(), ids, np.arange(len(ids)))
    if opened.categories is None:
        return [], items
    codes, names = opened.categories
    there = codes >= 0
    flat, values = codes[there], np.broadcast_to(moved.numpy()[:, None], codes.shape)[there]
    count = np.bincount(flat, minlength=len(names))
    mean = np.bincount(flat, values, minlength=len(names)) / np.maximum(count, 1)
    return _ends(mean[count > 0], names, np.flatnonzero(count)), items


def _ends(values: Numbers, names: Sequence[Id], codes: NDArray[np.int64]) -> list[Taste]:
    """The largest and the smallest values, falling. codes: the place of the name of each value."""
    order = np.argsort(-values, kind="stable")
    if len(order) > 2 * TASTES:
        order = np.concatenate([order[:TASTES], order[-TASTES:]])
    return [Taste(name=str(names[int(codes[one])])[:TEXT], moved=float(values[one])) for one in order]


def _beside(opened: Opened, asked: Asked, before: Tensor | None, moved: Tensor | None) -> Beside | None:
    """The popularity list, played for as many turns as the session has, until it loses the user.

    A reward is the user's own answer where there is one, otherwise the estimate after the answers.
    """
    if before is None:
        return None
    policy, answers = opened.policy, dict(zip(asked.items, asked.rewards, strict=True))
    now = (before if moved is None else before + moved).clamp(*policy.unit.bounds)
    items: list[int] = []
    for code in opened.by_popularity[: len(asked.items)].tolist():
        items.append(code)
        if _leaves(opened, items):
            break
    return Beside(
        items=[str(policy.items.ids[code]) for code in items],
        rewards=[answers.get(code, float(now[code])) for code in items],
        answered=[code in answers for code in items],
        lost=_leaves(opened, items),
    )


def reasons(opened: Opened, asked: Asked, item: Id) -> Reasons:
    """The explanation of an item for a user of the log. Raises ConfigError for an unknown item."""
    policy = opened.policy
    if policy.items.code(item) is None:
        raise ConfigError(f"item {item!r} is not in the catalogue; name one that is")
    if opened.run is None:
        return Reasons(missing="Only the run's folder holds what explanations need, and it was not found.")
    if asked.code is None:
        return Reasons(missing=NEW)
    history = [(policy.items.ids[code], reward) for code, reward in zip(asked.items, asked.rewards, strict=True)]
    try:
        found = opened.explainer.explain(policy.users.ids[asked.code], item, history)
    except DarlrError as error:
        return Reasons(missing=str(error))
    return Reasons(
        frozen=found.world_model,
        dynamic=found.reward,
        penalty=found.penalty,
        bonus=found.bonus,
        paid=found.paid,
        references=[Reference(**{**row, "user": str(row["user"])}) for row in found.references.to_dicts()],
    )
