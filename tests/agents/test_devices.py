"""Learning on a device of its own: tables stay there, and a rollout reads nothing back to decide what comes next."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from darlr.agents.learner import Learner, update_recommender, update_selector
from darlr.agents.references import build_references
from darlr.agents.rollout import Rollout, Simulator, rollout
from darlr.data.item_features import category_bits
from darlr.io.tensors import moved
from darlr.simulation.exits import CategoryExit, never
from tests.agents.tiny import build, make_world, options

# What a GPU has to finish before the host can go on: a number is read, or a shape depends on numbers.
WAITING = {
    "item",  # float(tensor), int(tensor), bool(tensor), in inference mode
    "_local_scalar_dense",  # the same out of it
    "is_nonzero",
    "nonzero",
    "argwhere",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "repeat_interleave",
    "bincount",
    "equal",
    "linalg_cholesky",  # looks whether it worked; the _ex forms do not
    "linalg_inv",
    "linalg_solve",
}


class Waits(TorchDispatchMode):
    """Counts operators that would make the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        name = operator.overloadpacket.__name__
        boolean_index = name == "index" and any(i is not None and i.dtype == torch.bool for i in arguments[1])
        if name in WAITING or boolean_index:
            self.found[name] += 1
        return operator(*arguments, **(named or {}))


CASES = [
    ("mbpo", {}),
    ("dorl", {"session__exit": "category"}),
    ("roler", {"session__repeats": True}),
    ("darlr", {"session__exit": "category"}),
    ("darlr", {"selector__candidates": 6}),
    ("darlr", {"selector__kind": "random"}),
    ("darlr", {"tracker__kind": "mean", "recommender__user_in_state": False}),
    ("darlr", {"recommender__prior": 1.0, "recommender__belief": 1.0}),
    ("mbpo", {"recommender__prior": 1.0, "recommender__caution": 9.0, "session__exit": "category"}),
]


def prepared(method: str, more: dict[str, Any], device: str = "cpu") -> tuple[Learner, Simulator]:
    """A learner, and the world that it learns in."""
    config = options(method, device=device, **more)
    bits = category_bits(torch.tensor([[0], [0], [1], [1], [2], [2]]), 3).to(device)
    rule = CategoryExit(bits) if "session__exit" in more else never
    world = replace(make_world(n_users=12), preference=torch.eye(6), categories=bits).to(device)
    return build(world, config, rule)


def ready(method: str, more: dict[str, Any], device: str = "cpu") -> Callable[[], Rollout]:
    """A rollout after its first one, in which things are built that may wait."""
    learner, simulator = prepared(method, more, device)

    def play() -> Rollout:
        agents = learner.recommender, learner.selector
        return rollout(*agents, simulator, learner.tables, 8, learner.generators)

    play()
    return play


@pytest.mark.parametrize(("method", "more"), CASES)
def test_a_rollout_reads_nothing_back(method: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darlr.agents.rollout.WAITING", set())  # as on a GPU
    play = ready(method, more)
    with Waits() as waits:
        play()
    assert not waits.found


@pytest.mark.parametrize(("method", "more"), CASES)
def test_learning_stays_on_its_device(method: str, more: dict[str, Any]) -> None:
    """On a device whose tensors hold no numbers: whatever lies elsewhere, or is read, raises."""
    more = {**more, "recommender__user_in_state": False}  # else the update asks for distinct users, once a minibatch
    learner, simulator = prepared(method, more)
    agents = [agent.to("meta") for agent in (learner.recommender, learner.selector) if agent is not None]
    world, rule = simulator.world.to("meta"), simulator.environment.exit
    if "session__exit" in more:
        assert world.categories is not None
        rule = CategoryExit(world.categories)
    references = build_references(world, options(method, **more).selector) if simulator.references else None
    simulator = replace(
        simulator, world=world, environment=replace(simulator.environment, exit=rule), references=references
    )
    learner.tables = moved(learner.tables, "meta")
    played = rollout(agents[0], learner.selector, simulator, learner.tables, 8, learner.generators)
    assert played.reward.is_meta
    learner.recommender_optimiser = torch.optim.Adam(learner.recommender.parameters())
    assert update_recommender(learner, played, repeats=False)["grad_norm"].is_meta
    if played.turns.selection is not None:
        assert learner.selector is not None
        learner.selector_optimiser = torch.optim.Adam(learner.selector.parameters())
        assert update_selector(learner, played.turns.selection)["selector_grad_norm"].is_meta


@pytest.mark.parametrize(("method", "more"), CASES)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_rollout_does_not_wait_for_the_gpu(method: str, more: dict[str, Any]) -> None:
    play = ready(method, more, "cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        play()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("inference", [False, True])
def test_waiting_is_noticed(inference: bool) -> None:
    one, many = torch.tensor(1), torch.arange(4)
    reading = (lambda: float(one), lambda: bool(one > 0), lambda: many[many > 1], lambda: torch.unique(many))
    for read in (*reading, lambda: torch.bincount(many), lambda: torch.nonzero(many)):
        with torch.inference_mode(inference), Waits() as waits:
            read()
        assert sum(waits.found.values()) == 1
