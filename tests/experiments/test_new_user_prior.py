"""The prior of new users on logs of positives: chosen for the users of the block, and kept with the world model."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import darlr
from darlr.data.log import Block, InteractionLog
from darlr.data.scope import scope_of, without
from darlr.experiments import new_user_prior
from darlr.experiments.new_user_prior import (
    METRIC,
    belief_about_new_users,
    chosen_prior,
    density_ratio,
    of_prior,
    sessions,
    told,
)
from darlr.options import WorldModelConfig
from darlr.world.belief import Belief
from darlr.world.fit import fit_world
from darlr.world.fitted import load
from darlr.world.fold_in import fold_in_of
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.prior import of_positives
from tests.world.models.test_history import none_of
from tests.world.tiny import log_of

USERS, BLOCK, OFFERED, ITEMS, GROUPS = 190, 30, 160, 200, 4


@pytest.fixture(autouse=True)
def few_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are users would be everybody."""
    monkeypatch.setattr("darlr.world.models.history.NEIGHBOURS", 10)
    few = partial(logged_neighbour_table, k=10)
    monkeypatch.setattr(new_user_prior, "logged_neighbour_table", lambda log, scope, k: few(log, scope))


def shifted(seed: int = 0) -> InteractionLog:
    """All users of the block like every fourth item, and a quarter of the others does, too."""
    generator, user, item = np.random.default_rng(seed), np.arange(USERS), np.arange(ITEMS)
    taste = np.where(user < BLOCK, 0, user % GROUPS)
    liked = (taste[:, None] == item % GROUPS) & (generator.random((USERS, ITEMS)) < 0.6)
    liked[:BLOCK, :OFFERED] = False
    users, items = np.nonzero(liked)
    block = Block(np.arange(BLOCK), np.arange(OFFERED))
    return log_of(users, items, np.ones(len(users)), USERS, ITEMS, block=block)


def test_users_like_those_of_the_block_count_more() -> None:
    log = shifted()
    weight = density_ratio(log, scope_of(log))[BLOCK:]
    alike = torch.arange(BLOCK, USERS) % GROUPS == 0
    assert weight[alike].mean() > 100 * weight[~alike].mean()


def test_the_prior_is_chosen_for_the_users_of_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    log = shifted()
    found = chosen_prior(log, WorldModelConfig("history"))
    assert found["prior"] != "events"
    assert found["earned"][found["prior"]] == max(found["earned"].values())
    assert "of the world model" in told(found) or "of the table of neighbours" in told(found)
    monkeypatch.setattr(new_user_prior, "density_ratio", lambda log, scope: torch.ones(log.n_users))
    assert chosen_prior(log, WorldModelConfig("history"))["prior"] == "events"  # as most of the hidden users differ


def test_few_users_leave_the_choice_open() -> None:
    log = without(shifted(), np.arange(BLOCK + 90, USERS))
    assert chosen_prior(log, WorldModelConfig("history")) == {"prior": "events"}
    assert "too few users" in told({"prior": "events"})


def test_answers_of_a_session_are_learned_from() -> None:
    belief = Belief(torch.tensor([0.5, 0.4, 0.3, 0.2]), torch.tensor([[0.5], [-0.5], [0.5], [-0.5]]), torch.ones(4) / 9)
    rewards = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    assert sessions(belief, rewards).tolist() == [2.0, 2.0]  # every item is shown in the end
    short = torch.cat([rewards, torch.zeros(2, 40)], 1)
    wide = Belief(torch.cat([belief.mean, torch.full((40,), -9.0)]), torch.zeros(44, 1), torch.ones(44))
    assert sessions(wide, short).tolist() == [2.0, 2.0]  # 30 turns of 44, the likeliest first


def test_priors_are_those_of_their_rows() -> None:
    log = shifted()
    fitted = fit_world(log, none_of(log), WorldModelConfig("history"))
    fold = fold_in_of(fitted.reward.whole(), float(fitted.risk.whole().mean()), fitted.reward_range)
    items, rewards = torch.tensor([[0, 3], [5, -1]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    found = of_prior("world model", fitted, log).given(items, rewards)
    torch.testing.assert_close(found.rows(found.theta()).clamp(*fitted.reward_range), fold.fold_in(items, rewards))
    mean = {prior: of_prior(prior, fitted, log).mean for prior in ("events", "neighbours")}
    torch.testing.assert_close(mean["events"], of_positives(log).mean)
    own = torch.arange(OFFERED) % GROUPS == 0
    assert mean["events"][own].mean() < 2 * mean["events"][~own].mean()
    assert mean["neighbours"][own].mean() > 10 * mean["neighbours"][~own].mean()


def test_the_choice_stays_with_the_world_model_and_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = darlr.Recommender("darlr+", session={"turns": 5}).fit(shifted(), epochs=0, progress=True)
    run = model.run
    choice = run.fitted.metrics[METRIC]
    assert choice["prior"] != "events"
    assert told(choice) in capsys.readouterr().err
    run.fitted.save(tmp_path / "world")
    again = load(tmp_path / "world")
    assert again.metrics[METRIC] == choice
    belief = belief_about_new_users(again, run.logs.fitted)
    assert belief is not None
    torch.testing.assert_close(belief.mean, run.world.belief.mean)
    older = replace(again, metrics={})  # a world model that was fitted before there was a choice
    torch.testing.assert_close(belief_about_new_users(older, run.logs.fitted).mean, of_positives(run.logs.fitted).mean)
    shown = model.recommend(darlr.NEW, n=4)["item"].to_list()
    assert [int(str(item)) % GROUPS for item in shown] == [0] * 4
