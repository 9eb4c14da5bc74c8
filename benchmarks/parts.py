"""What the time of training goes to, by part of the work: PyTorch's profiler, with scopes put around from outside."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, record_function

from benchmarks import machine
from benchmarks.hot_loop import STEPS
from darlr.agents import a2c, actor_critic, learner, recommender, references, rollout, selector
from darlr.agents.learner import Learner, learn
from darlr.agents.rollout import Simulator
from darlr.methods import Method
from darlr.simulation import environment
from darlr.world import estimates
from darlr.world.tables import World

# What belongs to a part: functions by where they are looked up.
SCOPES: tuple[tuple[str, Any, str], ...] = (
    ("recommender's tracker", recommender.Recommender, "state"),
    ("recommender's trunk and actor", actor_critic.ActorCritic, "forward"),
    ("selector's tracker and trunk", selector.Selector, "read"),
    ("feedback vectors", selector.Selector, "user_tokens"),
    ("feedback vectors", recommender.Recommender, "tokens"),
    ("feedback vectors", recommender, "project"),
    ("picking", rollout, "select"),
    ("logits and their gradient in the update", a2c, "a2c_loss"),
    ("gradients of trunk and tracker", torch.Tensor, "backward"),
    ("minibatches", learner, "update"),
    ("optimiser", torch.nn.utils, "clip_grad_norm_"),
    ("optimiser", torch.optim.Adam, "step"),
    ("softmax and sampling", rollout, "draw"),
    ("softmax and sampling", selector, "draw"),
    ("mask", rollout, "forbid"),
    ("look-ups", Method, "pay"),
    ("look-ups", World, "similarity"),
    ("look-ups", World, "similarities"),
    ("look-ups", estimates.Dense, "write"),
    ("look-ups", references, "diversity"),
    ("session", environment, "show"),
    ("session", environment, "restart"),
    ("session", environment, "last_items"),
    ("session", recommender.Recommender, "observe"),
)
# Operators that stand inline in another part.
OPERATORS = {"aten::softmax": "softmax and sampling", "aten::_softmax": "softmax and sampling"}
PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::linalg_vecdot", "mkldnn::_linear_pointwise")
REST = "rest of the loop"
PREFIX = "part: "


@dataclass(frozen=True)
class Profile:
    """CPU-seconds for 100,000 steps by part: products of matrices, other operators, Python; calls: operators a step."""

    parts: dict[str, list[float]]
    calls: float
    launch: float

    def table(self) -> list[str]:
        """A Markdown table, longest part first, and what the calls alone cost."""
        rows = sorted(self.parts.items(), key=lambda row: -sum(row[1]))
        sums = [sum(column) for column in zip(*self.parts.values(), strict=True)]
        lines = ["| part | products | other operators | Python | all |", "|---|---|---|---|---|"]
        for name, spent in [*rows, ("all", sums)]:
            lines.append(f"| {name} | {' | '.join(f'{one:.2f}' for one in (*spent, sum(spent)))} |")
        return [*lines, "", f"of it {self.launch:.2f} to call {self.calls:.1f} operators a step, were they empty"]


def _inside(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def scoped(*arguments: Any, **options: Any) -> Any:
        with record_function(PREFIX + name):
            return function(*arguments, **options)

    return scoped


@contextmanager
def scopes() -> Iterator[None]:
    """Within it every part reports itself to the profiler."""
    with ExitStack() as stack:
        for name, place, attribute in SCOPES:
            stack.enter_context(mock.patch.object(place, attribute, _inside(name, getattr(place, attribute))))
        yield


def profile(agents: Learner, simulator: Simulator, sessions: int, cost: float, rollouts: int = 2) -> Profile:
    """The profile of some rollouts and updates. cost: CPU-seconds for 100,000 steps without the profiler.

    The profiler itself takes time, most where calls are many and short, so shares are told in units of `cost`.
    """
    learn(agents, simulator, sessions)
    with scopes(), torch.profiler.profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(rollouts):
            learn(agents, simulator, sessions)
    spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    calls = 0
    for event in recorded.events():
        if event.name.startswith(PREFIX):
            spent[event.name.removeprefix(PREFIX)][2] += event.self_cpu_time_total
            continue
        calls += event.name.startswith("aten::")
        column = 0 if event.name in PRODUCTS else 1
        spent[_part(event)][column] += event.self_cpu_time_total
    total = sum(sum(row) for row in spent.values())
    steps = rollouts * sessions * simulator.environment.turns
    one = torch.zeros(1)
    empty = machine.seconds(one.neg_)
    parts = {name: [cost * part / total for part in row] for name, row in spent.items() if sum(row) > 0.001 * total}
    return Profile(parts, calls / steps, calls / steps * empty * STEPS)


def _part(event: Any) -> str:
    if event.name in OPERATORS:
        return OPERATORS[event.name]
    above = event.cpu_parent
    while above is not None and not above.name.startswith(PREFIX):
        above = above.cpu_parent
    return REST if above is None else str(above.name.removeprefix(PREFIX))
