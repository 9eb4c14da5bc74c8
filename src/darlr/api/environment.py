"""The simulated session of a recommender as an environment for other agents: `make_env`."""

from typing import TYPE_CHECKING, Any

from darlr.agents.references import method_rewards
from darlr.api.recommender import Recommender
from darlr.experiments.world import paid_world
from darlr.simulation.exits import build_exit, in_unit
from darlr.simulation.gym import session_vector_env

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


def make_env(model: Recommender, sessions: int = 64, seed: int = 0) -> "VectorEnv[Any, Any, Any]":
    """A Gymnasium vector environment of the sessions in which the recommender learned (extra `gym`).

    sessions: the number of sessions side by side. seed: draws the users. Users and items are the codes 0, 1, ... in the
    order of `model.run.logs.known.user_ids` and `.item_ids`; see `darlr.simulation.gym.session_vector_env` for
    observations and actions. Raises MachineError where Gymnasium is not installed, RunError before `fit`.
    """
    run, config = model.run, model.run.config.train
    world = paid_world(run.world, run.logs, run.config)
    rule = in_unit(build_exit(config.session, run.logs.catalogue), learned=True)
    return session_vector_env(
        world, rule, config, method_rewards(world, config, run.logs.unit), sessions=sessions, seed=seed
    )
