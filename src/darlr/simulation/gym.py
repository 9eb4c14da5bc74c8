"""The simulated session as a Gymnasium vector environment, for agents of other libraries (extra `gym`).

    from darlr.simulation.gym import session_vector_env

    env = session_vector_env(world, rule, config, pays, sessions=64, seed=0)
    seen, info = env.reset(seed=0)
    seen, reward, terminated, truncated, info = env.step(actions)      # actions: int64 [sessions], items

Gymnasium is imported only when an environment is made.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.errors import ConfigError, MachineError
from darlr.options import TrainConfig
from darlr.simulation.environment import Environment, turn
from darlr.simulation.exits import Exit
from darlr.simulation.session import Session, last_items, last_rewards, restart
from darlr.world.tables import World

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

Arrays = dict[str, NDArray[Any]]


class Paid(NamedTuple):
    """The feedback that a session observes and the reward that agents learn from, float32 [B], in the log's unit.

    Feedback is an estimate of what the user would log. The reward includes the method's penalty and entropy term.
    """

    feedback: Tensor
    reward: Tensor


RewardSource = Callable[[Tensor, Tensor, Tensor], Paid]
"""Rewards for users and items int64 [B] and the items before them (-1 for none): those of a method
(`darlr.agents.references.method_rewards`), of a ground truth or of an evaluation world model."""


class Shown(NamedTuple):
    """The move of one turn: the chosen items, the feedback and the reward."""

    action: Tensor
    feedback: Tensor
    reward: Tensor


class _Chosen(NamedTuple):
    """The player whose items come from outside."""

    pays: RewardSource

    def move(self, session: Session, chance: Tensor) -> Shown:
        paid = self.pays(session.user, chance, session.items[:, -1])
        return Shown(chance, paid.feedback, paid.reward)


def session_vector_env(
    world: World, rule: Exit, config: TrainConfig, pays: RewardSource, *, sessions: int = 64, seed: int = 0
) -> "VectorEnv[Any, Any, Any]":
    """`sessions` simulated sessions side by side, a `gymnasium.vector.VectorEnv`, on the CPU.

    world: the users and items. rule: who leaves. config: its session gives T and whether items may repeat, and its
    recommender's tracker gives w, the number of observed recent items. pays: the source of rewards.

    An observation is a dict of arrays with one row for each session: "user", int64 in 0..U-1; "items", int64 [w], the
    last w items, newest last, I for none; "rewards", float32 [w], the feedback for them, 0 for none; "turn", int64 in
    0..T, the number of items so far. An action is the item to show, int64 in 0..I-1. The reward is float64. A session
    terminates when its user leaves or no item is left; it is truncated at turn T.

    info["action_mask"]: bool [sessions, I], the items that may be shown next. info["feedback"]: float32 [sessions].
    After a session has ended, the next step resets it with a new user, ignores its action and pays 0 (Gymnasium's mode
    NEXT_STEP, its default). The same seed and the same actions give the same sessions.

    Raises MachineError without gymnasium, ConfigError for fewer than one session and for wrong actions or users.
    """
    if not isinstance(sessions, int | np.integer) or sessions < 1:
        raise ConfigError(f"option sessions: must be a whole number of at least 1, not {sessions!r}")
    return _env_class()(world, rule, config, pays, sessions, seed)


def _codes(given: Any, size: int, count: int, option: str, kind: str) -> Tensor:
    """`size` whole numbers from 0 to count - 1 as int64; ConfigError for anything else, such as ids or fractions."""
    found = np.asarray(given)
    if found.dtype.kind not in "iu" or found.shape != (size,) or not ((found >= 0) & (found < count)).all():
        raise ConfigError(f"{option}: needs {size} {kind} from 0 to {count - 1}")
    return torch.from_numpy(found.astype(np.int64))


def _env_class() -> Callable[..., "VectorEnv[Any, Any, Any]"]:
    """The class, which is derived from one of gymnasium."""
    try:
        gym = import_module("gymnasium")
    except ImportError as error:
        raise MachineError("this environment needs gymnasium: install it with pip install 'darlr[gym]'") from error
    spaces, vector = gym.spaces, gym.vector

    class SessionVectorEnv(vector.VectorEnv):  # type: ignore[misc, name-defined]
        """See `session_vector_env`."""

        def __init__(
            self, world: World, rule: Exit, config: TrainConfig, pays: RewardSource, sessions: int, seed: int
        ) -> None:
            self.num_envs, self._users, items = sessions, world.n_users, world.n_items
            session, self._window = config.session, config.recommender.tracker.window
            self._rules = Environment(rule, session.turns, items, session.repeats, items)
            self._player = _Chosen(pays)
            self._generator = torch.Generator().manual_seed(seed)
            self.metadata: dict[str, Any] = {"render_modes": []}
            if hasattr(vector, "AutoresetMode"):  # gymnasium 1.1 and later
                self.metadata["autoreset_mode"] = vector.AutoresetMode.NEXT_STEP
            self.single_observation_space = spaces.Dict(
                {
                    "user": spaces.Discrete(world.n_users),
                    "items": spaces.MultiDiscrete(np.full(self._window, items + 1)),
                    "rewards": spaces.Box(-np.inf, np.inf, (self._window,), np.float32),
                    "turn": spaces.Discrete(session.turns + 1),
                }
            )
            self.single_action_space = spaces.Discrete(items)
            self.observation_space = vector.utils.batch_space(self.single_observation_space, sessions)
            self.action_space = vector.utils.batch_space(self.single_action_space, sessions)
            self._session = self._rules.start(self._drawn())

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[Arrays, dict[str, Any]]:
            """Begin new sessions with random users, or with those of options {"users": int64 [sessions]}."""
            super().reset(seed=seed)
            if seed is not None:
                self._generator.manual_seed(seed)
            chosen = (options or {}).get("users")
            if chosen is not None:
                chosen = _codes(chosen, self.num_envs, self._users, "option users", "codes")
            self._session = self._rules.start(self._drawn() if chosen is None else chosen)
            return self._observed(), self._info(torch.zeros(self.num_envs))

        def step(
            self, actions: NDArray[np.int64]
        ) -> tuple[Arrays, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
            """Show an item in every session; a session that ended before starts anew instead."""
            before, over = self._session, self._session.done
            action = _codes(actions, self.num_envs, self._rules.n_items, "actions", "items")
            shown = (before.items == action[:, None]).any(1) & ~over
            if not self._rules.repeats and bool(shown.any()):
                raise ConfigError(
                    f"actions: session {int(shown.long().argmax())} was shown that item before; see "
                    "info['action_mask'], or allow repeats (session.repeats)"
                )
            after, played = turn(self._rules, self._player, before, action.masked_fill(over, 0), None)
            # `restart` begins the sessions that are `done`, which are here those that were over before this step.
            fresh = restart(replace(after, done=over), self._drawn())
            self._session = replace(fresh, done=after.done & ~over)
            ended = self._session.done
            truncated = ended & (self._session.turn >= self._rules.turns)
            reward = played.move.reward.masked_fill(over, 0.0)
            info = self._info(played.move.feedback.masked_fill(over, 0.0))
            flags = (ended & ~truncated).numpy(), truncated.numpy()
            return self._observed(), reward.double().numpy(), *flags, info

        def _drawn(self) -> Tensor:
            return torch.randint(self._users, (self.num_envs,), generator=self._generator)

        def _observed(self) -> Arrays:
            items = last_items(self._session, self._window)
            return {
                "user": self._session.user.numpy(),
                "items": torch.where(items < 0, self._rules.n_items, items).numpy(),
                "rewards": last_rewards(self._session, self._window).float().numpy(),
                "turn": self._session.turn.numpy(),
            }

        def _info(self, feedback: Tensor) -> dict[str, Any]:
            seen = self._session.seen
            allowed = torch.ones_like(seen) if self._rules.repeats else ~seen
            found = {"action_mask": allowed.numpy(), "feedback": feedback.float().numpy()}
            return found | {f"_{name}": np.ones(self.num_envs, dtype=bool) for name in found}

    return SessionVectorEnv
