"""`darlr.update` and `darlr.check`: new events for a recommender in memory, and alarms for planted shifts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import darlr
from darlr.data.log import InteractionLog
from darlr.data.sets.synthetic import generate
from darlr.data.split import select
from darlr.errors import ConfigError, DataError, RunError
from darlr.experiments.gate import compare
from darlr.options import SyntheticConfig

TINY: dict[str, Any] = {
    "epochs": 1,
    "steps": 32,
    "sessions": 16,
    "session__turns": 4,
    "selector__picks": 2,
    "selector__projection": 4,
    "model": {"members": 2, "hidden": (8,), "embedding": 4, "epochs": 8},
    "split__evaluation": 0.3,
}


@pytest.fixture(scope="module")
def parts() -> tuple[InteractionLog, InteractionLog]:
    """Events of one period, and later ones."""
    log = generate(SyntheticConfig(users=60, items=20, categories=4, events_per_user=40, boredom=0.0)).log
    log = replace(log, timestamp=np.random.default_rng(0).permutation(len(log)))
    log = select(log, np.argsort(log.timestamp))
    cut = int(0.6 * len(log))
    return select(log, np.arange(cut)), select(log, np.arange(cut, len(log)))


@pytest.fixture(scope="module")
def model(parts: tuple[InteractionLog, InteractionLog]) -> darlr.Recommender:
    """A recommender of the first period; tests only read it."""
    return darlr.Recommender("darlr", seed=0, **TINY).fit(parts[0], progress=False)


def test_an_update_learns_and_leaves_the_given_one_alone(
    model: darlr.Recommender, parts: tuple[InteractionLog, InteractionLog], tmp_path: Any
) -> None:
    before = model.recommend([3], n=3)
    child = darlr.update(model, parts[1], epochs=1, world_epochs=2, progress=False)
    assert model.recommend([3], n=3).equals(before)
    assert child.gate is not None
    assert child.gate.promoted
    assert {one.name for one in child.gate.measures} == {"nDCG@10", "squared error"}
    again = darlr.update(model, parts[1], epochs=1, world_epochs=2, progress=False)
    assert again.recommend([3], n=3).equals(child.recommend([3], n=3))
    child.save(tmp_path / "child")
    assert darlr.load(tmp_path / "child").recommend([3], n=3).equals(child.recommend([3], n=3))


def test_a_ruined_update_is_not_promoted(
    model: darlr.Recommender, parts: tuple[InteractionLog, InteractionLog]
) -> None:
    child = darlr.update(model, parts[1], epochs=1, world_epochs=1, progress=False)
    ruined = replace(child.run.world, reward=type(child.run.world.reward)(6 - child.run.world.reward.whole()))
    found = compare(model.run, replace(child.run, world=ruined), parts[1])
    assert not found.promoted
    assert "SURELY WORSE" in str(found)


def test_later_events_of_the_same_world_raise_no_alarm(
    model: darlr.Recommender, parts: tuple[InteractionLog, InteractionLog]
) -> None:
    found = darlr.check(model, parts[1])
    assert not found.alarm, str(found)
    assert (found.known, found.learned) == (len(parts[1]), False)
    assert "verdict: no alarm" in str(found)


def test_a_planted_shift_of_rewards_is_found(
    model: darlr.Recommender, parts: tuple[InteractionLog, InteractionLog]
) -> None:
    later = parts[1]
    found = darlr.check(model, replace(later, reward=(later.reward + 1).clip(1, 5)))
    assert found.alarm
    assert found.change is not None
    assert found.bias is not None
    assert found.bias.low > 0
    stranger = replace(later, user_ids=tuple(id + 100 for id in later.user_ids[:50]) + later.user_ids[50:])
    text = str(darlr.check(model, stranger))
    assert "of users that the run does not know" in text


def test_what_cannot_be_updated_is_refused(
    model: darlr.Recommender, parts: tuple[InteractionLog, InteractionLog], tmp_path: Any
) -> None:
    old, new = parts
    with pytest.raises(DataError, match="no event is new"):
        darlr.update(model, old, progress=False)
    with pytest.raises(DataError, match=r"rewards from .* and the run's log has a range from 1 to 5"):
        darlr.update(model, replace(new, reward=new.reward * 20, reward_range=(20, 100)), progress=False)
    with pytest.raises(ConfigError, match="option replays: no option of an update is called 'replays'"):
        darlr.update(model, new, replays=2)
    with pytest.raises(RunError, match="lies in no folder"):
        darlr.update(model, new, folder=tmp_path / "x")
