"""DARLR: dual-agent offline reinforcement learning for recommender systems with dynamic reward.

    log = darlr.read_events("events.csv", user="uid", item="sku", reward="stars", timestamp="ts")
    train, test = log.split(held_out=0.2, by="time")
    model = darlr.Recommender("darlr+", seed=0).fit(train, epochs=5)
    model.recommend(["u1", "u2"], n=10)
    print(darlr.evaluate(model, test))

The names below are all that most programs need. They are imported when they are first used, so that `import darlr`
itself is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darlr.api.decisions import evaluate_decisions as evaluate_decisions
    from darlr.api.decisions import replay as replay
    from darlr.api.environment import make_env as make_env
    from darlr.api.evaluate import evaluate as evaluate
    from darlr.api.recommender import Recommender as Recommender
    from darlr.api.recommender import load as load
    from darlr.api.update import check as check
    from darlr.api.update import update as update
    from darlr.data.tabular.read_table import read_events as read_events
    from darlr.decisions.join import read_decisions as read_decisions
    from darlr.decisions.log import DecisionLog as DecisionLog
    from darlr.serving.ids import NEW as NEW
    from darlr.world.given import WorldModel as WorldModel

__version__ = "0.1.0"
__all__ = [
    "NEW",
    "DecisionLog",
    "Recommender",
    "WorldModel",
    "__version__",
    "check",
    "evaluate",
    "evaluate_decisions",
    "load",
    "make_env",
    "read_decisions",
    "read_events",
    "replay",
    "update",
]

HOMES = {
    "NEW": "darlr.serving.ids",
    "DecisionLog": "darlr.decisions.log",
    "Recommender": "darlr.api.recommender",
    "WorldModel": "darlr.world.given",
    "check": "darlr.api.update",
    "evaluate": "darlr.api.evaluate",
    "evaluate_decisions": "darlr.api.decisions",
    "load": "darlr.api.recommender",
    "make_env": "darlr.api.environment",
    "read_decisions": "darlr.decisions.join",
    "read_events": "darlr.data.tabular.read_table",
    "replay": "darlr.api.decisions",
    "update": "darlr.api.update",
}


def __getattr__(name: str) -> Any:
    """Import a name of the library when it is first used."""
    if name not in HOMES:
        raise AttributeError(f"module 'darlr' has no attribute {name!r}")
    value = getattr(importlib.import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names of the library, for completion in a shell or a notebook."""
    return sorted({*globals(), *HOMES})
