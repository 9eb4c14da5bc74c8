"""One policy folder of every kind, from one tiny log."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from darlr.agents.learner import build_recommender, leaving
from darlr.data.item_features import category_bits
from darlr.data.log import InteractionLog
from darlr.methods import find
from darlr.options import TablesConfig
from darlr.serving.folder import export, export_table
from darlr.world.fitted import FittedWorldModel
from darlr.world.logged import Certainty, histories
from darlr.world.tables import World, build_world
from tests.agents.tiny import options
from tests.world.test_fold_in import fitted_table, low_rank_log

USERS, ITEMS = 12, 20
LOG = replace(
    low_rank_log(USERS, ITEMS, 6, seed=3), user_ids=tuple(f"u{n}" for n in range(USERS)), item_ids=tuple(range(ITEMS))
)


def world_of(model: FittedWorldModel, tables: TablesConfig) -> World:
    generator = torch.Generator().manual_seed(1)
    return replace(
        build_world(model, LOG, tables),
        preference=torch.randn(ITEMS, 4, generator=generator),
        categories=category_bits(torch.arange(ITEMS)[:, None] % 4, 4),
    )


PLAIN = TablesConfig()
MODEL = fitted_table(LOG, seed=3)
CATEGORY: dict[str, Any] = {"session__exit": "category", "session__window": 1, "session__threshold": 0}


def certain(world: World, log: InteractionLog = LOG) -> World:
    """The same with noise by item, and with the items of this log as evidence about its users."""
    noise = 0.2 + torch.rand(ITEMS, generator=torch.Generator().manual_seed(7))
    held = histories(log)
    return replace(world, certainty=Certainty(noise, held), histories=held)


def learned(
    method: str = "mbpo", tables: TablesConfig = PLAIN, *, sure: bool = False, **changes: Any
) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        config, world = replace(options(method, **changes), tables=tables), world_of(MODEL, tables)
        world = certain(world) if sure else world
        agent = build_recommender(world, config).eval()
        agent.heads.actor.weight.data.mul_(30)  # decided, so that a difference shows
        export(agent, world, LOG, config, folder)

    return write


def table(values: Callable[[World], torch.Tensor], *, aware: bool = False) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        world = world_of(MODEL, PLAIN)
        rule = leaving(world, options(**CATEGORY)) if aware else None
        export_table(values(world), rule, world, LOG, folder)

    return write


POLICIES = {
    "learned": learned(),
    "learned, mean tracker": learned(tracker__kind="mean"),
    "learned, user not in the state": learned(recommender__user_in_state=False),
    "learned, p_u logged": learned(tables=TablesConfig(indicator="logged")),
    "learned, p_u by user": learned(tables=TablesConfig(indicator_centre="user")),
    "learned, prior": learned(recommender__prior=3.0),
    "learned, prior of neighbours": learned("roler", recommender__prior=3.0),
    "learned, prior and belief": learned("darlr", recommender__prior=3.0, recommender__belief=0.5),
    "learned, certainty": learned(sure=True, recommender__prior=3.0, recommender__belief=0.5),
    "learned, caution": learned(recommender__prior=3.0, recommender__caution=5.0, **CATEGORY),
    "list": table(lambda world: world.reward.whole().mean(0, keepdim=True)),
    "table": table(lambda world: world.reward.whole()),
    "table of neighbours": table(lambda world: find("roler").start(world, options("roler")).whole()),
    "table, exit-aware": table(lambda world: world.reward.whole(), aware=True),
}
