"""The simulated session of a recommender for other people's agents: `make_env`."""

from typing import TYPE_CHECKING, Any

from darlr.agents.references import method_rewards
from darlr.api.recommender import Recommender
from darlr.experiments.world import paid_world
from darlr.simulation.exits import build_exit
from darlr.simulation.gym import session_vector_env

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


def make_env(model: Recommender, sessions: int = 64, seed: int = 0) -> "VectorEnv[Any, Any, Any]":
    """A Gymnasium vector environment of the session in which the recommender learned (extra `gym`).

    sessions: how many run side by side. seed: of the users who are drawn. The users, the items, the exit rule and the
    reward are those of `model`; see `darlr.simulation.gym.session_vector_env` for observations and actions. Users and
    items are the codes 0, 1, ... in the order of `model.run.logs.known.user_ids` and `.item_ids`.
    Raises MachineError where Gymnasium is not installed, RunError before `fit`.
    """
    run = model.run
    config, world = run.config.train, paid_world(run.world, run.logs, run.config)
    rule = build_exit(config.session, run.logs.catalogue)
    pays = method_rewards(world, config, run.logs.unit)
    return session_vector_env(world, rule, config, pays, sessions=sessions, seed=seed)
