"""The simulated session as a Gymnasium vector environment, for other people's agents (extra `gym`).

    from darlr.simulation.gym import session_vector_env

    env = session_vector_env(world, rule, config, pays, sessions=64, seed=0)
    seen, info = env.reset(seed=0)
    seen, reward, terminated, truncated, info = env.step(actions)      # actions: int64 [sessions], items

Gymnasium is imported when an environment is made, not before.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

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


class Paid(NamedTuple):
    """What one turn pays, float32 [B] each: `feedback` is what the session shows, `reward` what agents learn from.

    Both are in the log's unit. Feedback is an estimate of what the user would log; the reward is the method's, with its
    penalty and its entropy term.
    """

    feedback: Tensor
    reward: Tensor


class RewardSource(Protocol):
    """What pays: a method's estimate (`darlr.agents.pay.method_rewards`), a truth, or an evaluation world model."""

    def __call__(self, user: Tensor, item: Tensor, last: Tensor) -> Paid:
        """For users and items int64 [B], and the items before them (-1 for none)."""
        ...


class Shown(NamedTuple):
    """A move of the environment's player: what the agent chose and what it was paid."""

    action: Tensor
    feedback: Tensor
    reward: Tensor


class _Chosen:
    """The player whose moves come from outside."""

    def __init__(self, pays: RewardSource) -> None:
        self.pays = pays

    def move(self, session: Session, chance: Tensor) -> Shown:
        paid = self.pays(session.user, chance, session.items[:, -1])
        return Shown(chance, paid.feedback, paid.reward)


def gymnasium() -> ModuleType:
    """The package; MachineError that names the extra where it is missing."""
    try:
        return import_module("gymnasium")
    except ImportError as error:
        raise MachineError("this environment needs gymnasium: install it with pip install 'darlr[gym]'") from error


def session_vector_env(
    world: World, rule: Exit, config: TrainConfig, pays: RewardSource, *, sessions: int = 64, seed: int = 0
) -> "VectorEnv[Any, Any, Any]":
    """`sessions` simulated sessions side by side, a `gymnasium.vector.VectorEnv`, on the CPU.

    world: the users and items. rule: who leaves. config: its session says T and whether items may repeat; its
    recommender's tracker says w, how many recent items are observed. pays: what pays.

    Observation, a dict of arrays with one row a session: "user", int64 in 0..U-1; "items", int64 [w], the last w items,
    newest last, I where there was none; "rewards", float32 [w], the feedback observed for them, 0 where there was none;
    "turn", int64 in 0..T, items shown so far. Action: int64 in 0..I-1, the item to show.

    Reward: float64, the method's reward in the log's unit. A session terminates when its user leaves or no item is
    left; it is truncated at turn T.

    info["action_mask"]: bool [sessions, I], the items that may be shown next; where items may not repeat, showing one
    again raises ConfigError. info["feedback"]: float32, what the users would say. Where a session ended the next step
    resets it, ignores its action and pays 0 (Gymnasium's mode NEXT_STEP, its default); a new user is drawn from
    `seed`'s generator. The same seed and the same actions give the same sessions.

    Raises MachineError without gymnasium, ConfigError for fewer than one session.
    """
    if not isinstance(sessions, int | np.integer) or sessions < 1:
        raise ConfigError(f"option sessions: must be a whole number of at least 1, not {sessions!r}")
    return _env_class()(world, rule, config, pays, sessions, seed)


def _codes(given: Any) -> Tensor:
    """Whole numbers as int64; what holds others, such as ids or fractions, becomes a code that is refused."""
    found = np.asarray(given)
    return torch.as_tensor(found if found.dtype.kind in "iu" else np.full(found.shape, -1), dtype=torch.int64)


def _env_class() -> Callable[..., "VectorEnv[Any, Any, Any]"]:
    """The class, made when gymnasium is there to derive it from."""
    gym = gymnasium()
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
            if hasattr(vector, "AutoresetMode"):  # from gymnasium 1.1 on the mode is said
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
        ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
            """Begin new sessions. options {"users": int64 [sessions]} names their users, who else are drawn."""
            super().reset(seed=seed)
            if seed is not None:
                self._generator.manual_seed(seed)
            chosen = (options or {}).get("users")
            users = self._drawn() if chosen is None else _codes(chosen)
            if users.shape != (self.num_envs,) or not bool(((users >= 0) & (users < self._users)).all()):
                raise ConfigError(f"option users: needs {self.num_envs} codes from 0 to {self._users - 1}")
            self._session = self._rules.start(users)
            return self._observed(), self._info(torch.zeros(self.num_envs))

        def step(
            self, actions: NDArray[np.int64]
        ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
            """Show an item in every session; one that ended before starts anew instead."""
            action, before = _codes(actions), self._session
            over = before.done
            self._check(action, over)
            after, played = turn(self._rules, self._player, before, action.masked_fill(over, 0), None)
            fresh = restart(after, self._drawn())
            row = over[:, None]
            self._session = Session(
                user=torch.where(over, fresh.user, after.user),
                items=torch.where(row, fresh.items, after.items),
                rewards=torch.where(row, fresh.rewards, after.rewards),
                turn=torch.where(over, fresh.turn, after.turn),
                done=after.done & ~over,
                n_items=after.n_items,
            )
            ended = self._session.done
            truncated = ended & (self._session.turn >= self._rules.turns)
            reward = played.move.reward.masked_fill(over, 0.0)
            info = self._info(played.move.feedback.masked_fill(over, 0.0))
            flags = (ended & ~truncated).numpy(), truncated.numpy()
            return self._observed(), reward.double().numpy(), *flags, info

        def _drawn(self) -> Tensor:
            return torch.randint(self._users, (self.num_envs,), generator=self._generator)

        def _check(self, action: Tensor, over: Tensor) -> None:
            if action.shape != (self.num_envs,) or not bool(((action >= 0) & (action < self._rules.n_items)).all()):
                raise ConfigError(f"actions: needs {self.num_envs} items from 0 to {self._rules.n_items - 1}")
            shown = (self._session.items == action[:, None]).any(1) & ~over
            if not self._rules.repeats and bool(shown.any()):
                raise ConfigError(
                    f"actions: session {int(shown.long().argmax())} was shown that item before; see "
                    "info['action_mask'], or allow repeats (session.repeats)"
                )

        def _observed(self) -> dict[str, NDArray[Any]]:
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
            every = np.ones(self.num_envs, dtype=bool)
            return {
                "action_mask": allowed.numpy(),
                "_action_mask": every,
                "feedback": feedback.float().numpy(),
                "_feedback": every,
            }

    return SessionVectorEnv
