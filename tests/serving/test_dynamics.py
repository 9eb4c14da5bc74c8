"""What a policy folder holds of leaving and fatigue, and that new users get what the index knows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from darlr.agents.learner import build_recommender
from darlr.agents.policy import RecommenderPolicy
from darlr.data.unit import Unit
from darlr.policies.bayes import Bayes
from darlr.policies.index import Index
from darlr.serving.dynamics import dynamics_of, read_dynamics, write_dynamics
from darlr.serving.folder import content, export, read_policy, served
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.exits import Exit
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.felt import FeltExit, LearnedExit, TiredExit
from darlr.simulation.hazard import NAMES, Hazard
from darlr.simulation.session import reset
from darlr.world.belief import Belief
from tests.agents.tiny import options
from tests.serving.tiny import ITEMS, LOG, MODEL, PLAIN, world_of

FELT: dict[str, Any] = {"session__exit": "felt", "session__threshold": 2.5, "session__turns": 6}
CONFIG = options(recommender__prior=2.0, recommender__belief=1.0, recommender__price=1.0, seed=4, **FELT)
NUMBERS = torch.Generator().manual_seed(0)
BELIEF = Belief(
    3 + torch.randn(ITEMS, generator=NUMBERS), torch.randn(ITEMS, 3, generator=NUMBERS), torch.full((ITEMS,), 0.3)
)
LEFT = torch.arange(5, -1.0, -1)[None, :, None] * torch.tensor([[[2.0, 1.5, 1.0, 0.5]], [[0.5, 0.5, 0.5, 0.0]]])
MEMBER = torch.nn.functional.one_hot(torch.arange(ITEMS) % 4, 4).float()
HAZARD = Hazard(torch.linspace(-1, 1, len(NAMES)), 2.0, torch.full((ITEMS,), 3.0), MEMBER, 0.6, torch.zeros(0))


def played(items: list[int], rewards: list[float]) -> Any:
    before = reset(torch.arange(1), ITEMS, 6)
    shown, felt = before.items.clone(), before.rewards.clone()
    shown[0, -len(items) :], felt[0, -len(items) :] = torch.tensor(items), torch.tensor(rewards)
    return replace(before, items=shown, rewards=felt, turn=torch.tensor([len(items)]))


def test_new_users_are_ranked_as_the_index_ranks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darlr.policies.staying.USERS", 4)
    known = dynamics_of(BELIEF, LOG, CONFIG)
    assert known is not None
    world = replace(world_of(MODEL, PLAIN), belief=BELIEF, dynamics=known)
    recommender = build_recommender(world, CONFIG).eval()
    export(recommender, world, LOG, CONFIG, tmp_path / "policy")
    session, nobody = played([3, 5], [4.0, 3.0]), torch.zeros(1, 0)
    for policy in (read_policy(tmp_path / "policy"), served(content(recommender, world, LOG, CONFIG))):
        believed = policy.newcomers.believed
        assert believed is not None
        assert believed.dynamics is not None
        rule = believed.dynamics.rule
        assert isinstance(rule, FeltExit)
        assert (rule.threshold, rule.patience, rule.chance) == (2.5, 1, 1.0)
        assert believed.dynamics.costs is not None
        assert torch.equal(believed.dynamics.costs, known.newcomers)
        assert not torch.equal(known.costs, known.newcomers)
        index = Index(BELIEF.mean, BELIEF.factors, BELIEF.noise, nobody.long(), nobody)
        priced = replace(index, rule=believed.dynamics.rule, costs=believed.dynamics.costs)
        found = policy.newcomers.policy(session.items, session.rewards).scores(session)
        plain = Bayes(BELIEF.mean, BELIEF.factors, BELIEF.noise, nobody.long(), nobody).scores(session)
        assert torch.equal(found.argsort(), priced.scores(session).argsort())
        assert not torch.equal(found.argsort(), plain.argsort())
        scores, blind = policy.policy.scores(session), replace(world, dynamics=None)
        torch.testing.assert_close(scores, RecommenderPolicy(recommender).scores(session))
        assert not torch.equal(scores, RecommenderPolicy(build_recommender(blind, CONFIG).eval()).scores(session))
    assert dynamics_of(BELIEF, LOG, replace(CONFIG, recommender=replace(CONFIG.recommender, price=0.0))) is None


@pytest.mark.parametrize(
    "rule",
    [
        FeltExit(2.0, 2.0, 3, 0.5),
        FeltExit(2.0, 2.0, cut=1.5),
        TiredExit(Fatigue(MEMBER, 0.7, 0.4)),
        LearnedExit(HAZARD, Unit()),
        LearnedExit(replace(HAZARD, threshold=-torch.inf), Unit()),
    ],
)
def test_rules_and_fatigue_come_back_as_they_were(rule: Exit) -> None:
    known = Dynamics(rule, LEFT, Fatigue(MEMBER, 0.5, 0.3, 1.0), LEFT / 2, 1.5)
    again = read_dynamics(*write_dynamics(known))
    assert again is not None
    assert again.spread == 1.5
    session, mean = played([3, 7], [1.0, 4.0]), BELIEF.mean[None]
    for new in (False, True):
        both = (one.of_new_users if new else one for one in (known, again))
        assert torch.equal(*(one.values(session, mean, torch.ones(1, ITEMS)) for one in both))
    assert torch.equal(*(one.rested(session.items, session.rewards) for one in (known, again)))
    assert read_dynamics(*write_dynamics(None)) is None


def test_turns_are_those_of_a_session_and_not_of_the_history_that_is_given() -> None:
    known, mean = Dynamics(FeltExit(2.5, 2.5), LEFT), BELIEF.mean[None]
    session = played([3, 5], [4.0, 3.0])
    short = replace(session, items=session.items[:, -2:], rewards=session.rewards[:, -2:])  # as in serving
    assert torch.equal(*(known.values(one, mean, torch.ones(1, ITEMS)) for one in (session, short)))
    assert not torch.equal(known.values(short, mean, torch.ones(1, ITEMS)), mean)


def test_damaged_numbers_are_refused() -> None:
    tensors, about = write_dynamics(Dynamics(FeltExit(2.0, 2.0), LEFT))
    assert about is not None
    with pytest.raises(ValueError, match=r"dynamics\.threshold must hold finite numbers"):
        read_dynamics(tensors, about | {"threshold": "low"})
    with pytest.raises(ValueError, match=r"dynamics\.costs holds no turns"):
        read_dynamics({**tensors, "dynamics.costs": LEFT[:1]}, about)
