"""The Gymnasium environment: its spaces, its masks, what it pays, how sessions end and begin."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.agents.references import method_rewards
from darlr.data.unit import Unit
from darlr.errors import ConfigError, MachineError
from darlr.simulation.exits import never
from darlr.simulation.gym import Paid, session_vector_env
from tests.agents.tiny import make_world, options, same_category_leaves

pytest.importorskip("gymnasium")
LEAVE = same_category_leaves([0, 0, 1, 1, 2, 2])
STARS = Unit()


def make(rule=never, sessions=3, seed=0, method="mbpo", unit=STARS, **more):
    config, world = options(method, **more), make_world()
    return session_vector_env(world, rule, config, method_rewards(world, config, unit), sessions=sessions, seed=seed)


def first_allowed(info):
    return info["action_mask"].argmax(1)


@pytest.mark.parametrize("method", ["mbpo", "roler", "darlr"])
def test_a_session_is_what_its_spaces_say(method):
    env, world = make(method=method), make_world()
    seen, info = env.reset(seed=1)
    assert env.observation_space.contains(seen)
    assert info["action_mask"].all()
    total = np.zeros(3)
    for number in range(5):
        assert seen["turn"].tolist() == [number] * 3
        action = first_allowed(info)
        assert env.action_space.contains(action)
        seen, reward, terminated, truncated, info = env.step(action)
        assert env.observation_space.contains(seen)
        assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, np.bool_, np.bool_)
        assert seen["items"][:, -1].tolist() == [number] * 3
        assert not info["action_mask"][:, number].any()
        total += reward
        assert not terminated.any()
        assert truncated.all() == (number == 4)
    if method == "mbpo":
        np.testing.assert_allclose(total, world.reward.whole()[seen["user"]][:, :5].sum(1), rtol=1e-5)
    seen, reward, terminated, truncated, info = env.step(np.zeros(3, dtype=np.int64))  # the next step resets
    assert seen["turn"].tolist() == [0] * 3
    assert seen["items"].tolist() == [[6] * 3] * 3
    assert not reward.any()
    assert not (terminated | truncated).any()
    assert info["action_mask"].all()


def test_who_leaves_is_terminated_and_starts_anew_while_others_go_on():
    env = make(LEAVE, sessions=2)
    env.reset(seed=0)
    env.step(np.array([0, 0]))
    seen, _, terminated, truncated, _ = env.step(np.array([1, 2]))  # 0 and 1 share a category
    assert terminated.tolist() == [True, False]
    assert not truncated.any()
    assert seen["turn"].tolist() == [2, 2]
    seen, reward, terminated, _, info = env.step(np.array([3, 4]))
    assert seen["turn"].tolist() == [0, 3]
    assert reward[0] == 0 < reward[1]
    assert not terminated.any()
    assert info["action_mask"].sum(1).tolist() == [6, 3]


def test_a_catalogue_that_is_used_up_terminates():
    world, config = make_world(n_items=2), options()
    env = session_vector_env(world, never, config, method_rewards(world, config, STARS), sessions=1)
    _, info = env.reset()
    for ends in (False, True):
        _, _, terminated, truncated, info = env.step(first_allowed(info))
        assert (terminated[0], truncated[0]) == (ends, False)


def test_rewards_come_in_the_logs_unit_with_the_methods_penalty():
    """Learned 1 to 5 is 0 to 100 here: 25 for each learned unit."""
    percent = Unit(0.0, 100.0, 1.0, (0.0, 100.0))
    env, world = make(method="mopo", unit=percent, reward__lambda_u=0.5), make_world()
    estimates, risk = world.reward.whole(), world.risk.whole()
    seen, _ = env.reset(options={"users": [0, 1, 2]})
    assert seen["user"].tolist() == [0, 1, 2]
    seen, reward, _, _, info = env.step(np.array([3, 4, 5]))
    cells = [0, 1, 2], [3, 4, 5]
    np.testing.assert_allclose(info["feedback"], 25 * (estimates[cells] - 1), rtol=1e-5)
    np.testing.assert_allclose(reward, 25 * (estimates[cells] - 0.5 * risk[cells] - 1), rtol=1e-5)
    np.testing.assert_allclose(seen["rewards"][:, -1], info["feedback"])


def test_any_source_can_pay():
    def pays(user, item, last):
        return Paid(user.float(), item.float())

    env = session_vector_env(make_world(), never, options(), pays, sessions=2)
    env.reset(options={"users": [3, 4]})
    seen, reward, *_ = env.step(np.array([5, 1]))
    assert reward.tolist() == [5, 1]
    assert seen["rewards"][:, -1].tolist() == [3, 4]


def test_the_same_seed_and_actions_give_the_same_sessions():
    def users(seed):
        env = make(sessions=50, seed=3)
        return env.reset(seed=seed)[0]["user"].tolist()

    assert users(1) == users(1)
    assert users(1) != users(2)
    first, second = (make(sessions=50, seed=5).reset()[0]["user"].tolist() for _ in range(2))
    assert first == second


def test_wrong_actions_and_users_are_refused():
    env = make()
    env.reset()
    env.step(np.array([0, 1, 2]))
    with pytest.raises(ConfigError, match="session 1 was shown that item before"):
        env.step(np.array([1, 1, 1]))
    with pytest.raises(ConfigError, match="3 items from 0 to 5"):
        env.step(np.array([0, 1, 6]))
    with pytest.raises(ConfigError, match="3 codes from 0 to 4"):
        env.reset(options={"users": [0, 1, 5]})
    for ids in (["u1", "u2", "u3"], [0.5, 1.0, 2.0]):  # are no codes, and neither are fractions
        with pytest.raises(ConfigError, match="3 codes from 0 to 4"):
            env.reset(options={"users": ids})
        with pytest.raises(ConfigError, match="3 items from 0 to 5"):
            env.step(np.array(ids))
    for sessions in (0, 1.5):
        with pytest.raises(ConfigError, match="at least 1"):
            make(sessions=sessions)
    repeating = make(session__repeats=True)
    repeating.reset()
    for _ in range(2):
        *_, info = repeating.step(np.array([0, 0, 0]))
    assert info["action_mask"].all()


def test_an_agent_from_elsewhere_learns_in_it():
    """Gymnasium's own wrapper of episode statistics, and a table of mean rewards, find the best item of everybody."""
    from gymnasium.wrappers.vector import RecordEpisodeStatistics

    world = make_world(reward=torch.tensor([[1.0, 2.0, 5.0, 3.0]]).repeat(4, 1))
    config = options(session__turns=1)
    env = RecordEpisodeStatistics(
        session_vector_env(world, never, config, method_rewards(world, config, STARS), sessions=16, seed=0)
    )
    env.reset(seed=0)
    draw, total, count = np.random.default_rng(0), np.zeros(4), np.zeros(4)
    for number in range(40):
        action = draw.integers(4, size=16)
        _, reward, _, truncated, _ = env.step(action)
        if number % 2 == 0:  # every other step resets
            assert truncated.all()
            np.add.at(total, action, reward)
            np.add.at(count, action, 1)
    assert (total / count).argmax() == 2
    assert env.episode_count >= 16 * 19


def test_one_session_passes_gymnasiums_checker():
    """The checker takes single environments: a session as one."""
    import gymnasium as gym
    from gymnasium.utils.env_checker import check_env

    class Single(gym.Env):
        def __init__(self):
            self.many = make(LEAVE, sessions=1, session__repeats=True)
            self.observation_space, self.action_space = (
                self.many.single_observation_space,
                self.many.single_action_space,
            )

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            seen, info = self.many.reset(seed=seed)
            return self._one(seen), {"action_mask": info["action_mask"][0]}

        def step(self, action):
            seen, reward, terminated, truncated, _ = self.many.step(np.array([action]))
            return self._one(seen), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

        def _one(self, seen):
            return {name: value[0] for name, value in seen.items()}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(Single(), skip_render_check=True)


def test_without_gymnasium_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MachineError, match=r"pip install 'darlr\[gym\]'"):
        make()


def test_a_rule_of_another_window_is_heeded():
    wide = replace(LEAVE, window=2)
    env = make(wide, sessions=1)
    env.reset()
    env.step(np.array([0]))
    env.step(np.array([2]))
    _, _, terminated, _, _ = env.step(np.array([1]))  # item 0 of the same category was two turns ago
    assert terminated.all()
