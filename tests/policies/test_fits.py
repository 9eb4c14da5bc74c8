"""Every baseline fitted on a tiny log: seeds, files, and what the libraries learnt."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.log import Block, InteractionLog
from darlr.data.scope import catalogue, scope_of
from darlr.data.split import select
from darlr.errors import ConfigError, MachineError
from darlr.policies.files import load_baseline, save_baseline
from darlr.policies.model_free import trained_agent
from darlr.policies.networks import forward, layers_of
from darlr.policies.registry import BASELINES, fit_baseline
from darlr.simulation.session import reset, show
from darlr.world.context import Context
from tests.agents.tiny import make_world

pytestmark = pytest.mark.usefixtures("few_sweeps")
N_USERS, N_ITEMS = 12, 10
STEPS = 30


def checkerboard(implicit=False, block=None):
    """Even users like even items: reward 5, else 1 (or no event); everything is logged but the block."""
    user, item = (grid.ravel() for grid in np.indices((N_USERS, N_ITEMS)))
    liked = (user + item) % 2 == 0
    keep = liked.copy() if implicit else np.ones(N_USERS * N_ITEMS, dtype=bool)
    if block is not None:
        keep &= ~(np.isin(user, block.users) & np.isin(item, block.items))
    reward = np.where(liked, 1.0 if implicit else 5.0, 1.0).astype(np.float32)
    whole = InteractionLog(
        "checkerboard",
        user.astype(np.int64),
        item.astype(np.int64),
        reward,
        tuple(range(N_USERS)),
        tuple(range(N_ITEMS)),
        reward_range=(0.0, 1.0) if implicit else (1.0, 5.0),
        block=block,
    )
    return select(whole, keep)


def context_of(log):
    scope = scope_of(log)
    held_out = select(log, np.arange(len(log)) % 7 == 0)
    world = make_world(len(scope.users), len(scope.items))
    return Context(log, held_out, scope, catalogue(log, scope), world, turns=6)


def fit(name, context, seed=0):
    model_free = name in ("sqn", "bcq", "cql", "crr")
    return BASELINES[name].fit(context, seed, **({"steps": STEPS} if model_free else {}))


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("implicit", [False, True])
def test_same_seed_same_scores_and_files_keep_them(name, implicit, tmp_path):
    block = Block(np.arange(4), np.arange(6)) if implicit else None
    context = context_of(checkerboard(implicit, block))
    before = torch.get_rng_state()
    policy = fit(name, context)
    assert torch.equal(before, torch.get_rng_state())
    n_users, n_items = len(context.scope.users), len(context.scope.items)
    session = reset(torch.arange(n_users), n_items, 6)
    session = show(session, torch.arange(n_users) % n_items, torch.ones(n_users), torch.zeros(n_users).bool())
    scores = policy.scores(session)
    assert scores.shape == (n_users, n_items)
    assert scores.dtype == torch.float32
    again = fit(name, replace(context, beliefs={}))  # a belief is not taken over but fitted again
    assert torch.equal(scores, again.scores(session))
    save_baseline(policy, tmp_path / "x")
    assert torch.equal(scores, load_baseline(tmp_path / "x").scores(session))


@pytest.mark.parametrize("name", ["mf", "als", "ease", "item-knn", "linear-greedy"])
def test_supervised_rows_find_the_checkerboard(name):
    block = Block(np.arange(4), np.arange(6))
    implicit = name != "mf"
    context = context_of(checkerboard(implicit, block if implicit else None))
    scores = fit(name, context).scores(reset(torch.arange(len(context.scope.users)), context.catalogue.n_items, 3))
    even = torch.arange(scores.shape[0])[:, None] % 2 == torch.arange(scores.shape[1]) % 2
    assert (torch.where(even, scores, torch.inf).amin(1) > torch.where(even, -torch.inf, scores).amax(1)).all()


@pytest.mark.parametrize(
    ("name", "options"), [("DiscreteCQLConfig", {}), ("DiscreteBCQConfig", {"share_encoder": False})]
)
def test_networks_taken_from_d3rlpy_are_its_own(name, options):
    context = context_of(checkerboard())
    encoder, agent = trained_agent(context, 0, 5, name, options)
    states = torch.randn(7, encoder.size, generator=torch.Generator().manual_seed(0))
    values = forward(layers_of(agent.impl.modules.q_funcs[0]), states)
    for item in range(N_ITEMS):
        theirs = agent.predict_value(states.numpy(), np.full((7, 1), item))
        np.testing.assert_allclose(values[:, item].detach().numpy(), theirs, atol=1e-5)
    if "share_encoder" in options:
        logits = agent.impl.modules.imitator(states).logits
        ours = forward(layers_of(agent.impl.modules.imitator), states).log_softmax(-1)
        torch.testing.assert_close(ours, logits.log_softmax(-1))


def test_choices_are_fitted_without_the_held_out_cells():
    context = context_of(checkerboard())
    assert len(context.train) == len(context.log) - len(context.held_out)
    outside = replace(context, log=context.train)
    assert len(outside.train) == len(context.train)


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    with pytest.raises(MachineError, match=r"needs implicit.*darlr\[baselines\]"):
        fit_baseline("als", context_of(checkerboard()))


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match="no baseline is called 'dqn'; there are epsilon-greedy"):
        fit_baseline("dqn", context_of(checkerboard()))


@pytest.mark.parametrize("users", [7, 40])  # fewer and more than items: both ways to invert
def test_ease_is_its_formula(users):
    draw = np.random.default_rng(0)
    clicked = draw.random((users, 12)) < 0.4
    user, item = np.nonzero(clicked)
    log = InteractionLog("log", user, item, np.ones(len(user), np.float32), tuple(range(users)), tuple(range(12)))
    scores = fit_baseline("ease", context_of(log)).scores(reset(torch.arange(users), 12, 1)).numpy()
    x = clicked.astype(float)
    p = np.linalg.inv(x.T @ x + x.sum() / 12 * np.eye(12))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    np.testing.assert_allclose(scores, x @ b, atol=1e-5)


def test_ease_refuses_what_it_cannot_hold(monkeypatch):
    monkeypatch.setattr("darlr.policies.supervised.ROWS", 5)
    with pytest.raises(MachineError, match="dense matrices, which are too large for 12 users and 10 items"):
        fit_baseline("ease", context_of(checkerboard()))
