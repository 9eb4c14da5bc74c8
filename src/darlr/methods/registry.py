"""What a method is, and where methods are found by name.

All methods share one learner. They differ in the reward of the simulated session and in the tables that it needs.
"""

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from operator import attrgetter
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from darlr.errors import ConfigError
from darlr.methods.rewards import RewardTables, Shaped, Step
from darlr.options import RewardConfig, RunConfig, TrainConfig
from darlr.options.checks import find_named
from darlr.world.estimates import Estimate, changeable, estimate_of, floor
from darlr.world.tables import World

ENTRY_POINTS = "darlr.methods"  # the entry points through which installed packages name their values of Method


def looked_up(tables: RewardTables, step: Step, config: RewardConfig) -> Float[Tensor, " B"]:
    """The start table's entry of each user and item."""
    return tables.start.pairs(step.user, step.item)


def risk_of(
    tables: RewardTables, step: Step, estimate: Float[Tensor, " B"], config: RewardConfig
) -> Float[Tensor, " B"]:
    """The risk table's entry of each user and item; 0 without such a table."""
    return torch.zeros_like(estimate) if tables.risk is None else tables.risk.pairs(step.user, step.item)


@dataclass(frozen=True)
class Cost:
    """The measured cost of a method, for the plan that is shown before a run.

    tables: [U, I] tables at the peak, beyond those of every method. step: seconds for each simulated step. item:
    additional seconds for each step and item of the catalogue.
    """

    tables: int = 0
    step: float = 4e-6
    item: float = 8e-9

    def seconds(self, items: int) -> float:
        """Seconds for a simulated step with a catalogue of `items`."""
        return self.step + self.item * items


@dataclass(frozen=True)
class Method:
    """A method: reward = estimate - lambda_U * penalty + lambda_E * entropy - shift.

    name: the value of the option `method`. title: the name in tables of results.
    start: what the estimate starts from, by default r0; also the policy's prior, where it has one.
    risk: the uncertainty, by default None. Both are estimates (`darlr.world.estimates`) or tables [U, I].
    estimate: r, float32 [B]; by default an entry of `start`.
    penalty: P_U, float32 [B], given the estimate; by default an entry of `risk`, 0 without one.
    entropy: whether DORL's entropy term P_E is added.
    references: whether reference users are picked for each recommendation. They are in `step.references`, and the
    estimates are written into `tables.previous`.
    ensemble: whether `risk` is P_U under these options, so that the world model must have an ensemble.
    truth: whether it reads the ground truth, so that it serves as a reference only.
    weighting: how the world model must weight logged events; None leaves it to the options.
    reads: the fields of RewardConfig that it reads.
    defaults: its own defaults of options, by their place in RunConfig, e.g. {"train.recommender.prior": 10.0}.
    """

    name: str
    title: str
    start: Callable[[World, TrainConfig], Estimate | Tensor] = lambda world, config: world.reward
    risk: Callable[[World, TrainConfig], Estimate | Tensor | None] = lambda world, config: None
    estimate: Callable[[RewardTables, Step, RewardConfig], Tensor] = looked_up
    penalty: Callable[[RewardTables, Step, Tensor, RewardConfig], Tensor] = risk_of
    entropy: bool = False
    references: bool = False
    ensemble: Callable[[TrainConfig], bool] = lambda config: False
    truth: bool = False
    weighting: Literal["none", "inverse-popularity"] | None = None
    reads: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = Cost()

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.reads) - {option.name for option in fields(RewardConfig)}):
            raise ConfigError(f"method {self.name}: `reads` names no option of the reward: {', '.join(unknown)}")
        _with(RunConfig(), self.defaults)

    def tables(self, world: World, config: TrainConfig) -> RewardTables:
        """The tables that the method reads, before training; ConfigError for a table of another shape."""
        start, risk = self.begin(world, config), self.risk(world, config)
        risk, previous = None if risk is None else self._checked("risk", risk, world), world.reward
        if self.references:
            previous = changeable(start)
            start = previous if config.reward.refine == "in_place" else start
        return RewardTables(world.reward, start, risk, previous, world.entropy)

    def begin(self, world: World, config: TrainConfig) -> Estimate:
        """`start` as an estimate; ConfigError for a table of another shape."""
        return self._checked("start", self.start(world, config), world)

    def _checked(self, name: str, given: Estimate | Tensor, world: World) -> Estimate:
        if tuple(given.shape) != world.reward.shape:
            shapes = f"{list(world.reward.shape)}, not {list(given.shape)}"
            raise ConfigError(f"method {self.name}: its table `{name}` must be users x items, {shapes}")
        return estimate_of(given)

    def pay(self, tables: RewardTables, step: Step, config: RewardConfig) -> Shaped:
        """The parts of the reward of one step of B sessions."""
        estimate = self.estimate(tables, step, config)
        uncertainty = self.penalty(tables, step, estimate, config)
        entropy = tables.entropy.lookup(step.last, step.item) if self.entropy else torch.zeros_like(estimate)
        return Shaped(estimate, uncertainty, entropy)

    def shift(self, tables: RewardTables, config: RewardConfig) -> float:
        """The predecessors' MIN_R: the least reward by the tables. It is subtracted, so that no reward is below 0.

        A dynamic penalty (Eq. 16) has no table, so it can still make a reward negative.
        """
        least = floor(tables.start, tables.risk, config.lambda_u)
        return least + (config.lambda_e * tables.entropy.floor() if self.entropy else 0.0)


METHODS: dict[str, Method] = {}


def register(*methods: Method, replace: bool = False) -> None:
    """Make methods known by their names; ConfigError for a name that another method has.

    replace: take the other method's place, as when a cell of a notebook runs again.
    """
    for method in methods:
        if METHODS.get(method.name, method) is not method and not replace:
            raise ConfigError(
                f"a method is called {method.name!r} already; choose another name, or define it anew with replace=True"
            )
        METHODS[method.name] = method


def find(name: str) -> Method:
    """The method of that name, including those of installed packages; ConfigError with a hint for an unknown name."""
    if name not in METHODS:
        _load_installed()
    return find_named(name, METHODS, "method", "method", "import the module that registers it first")


@cache
def _load_installed() -> None:
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        register(point.load())


def with_defaults(config: RunConfig) -> RunConfig:
    """The options of a run with its method's own defaults, where no other value than the usual one is set.

    Raises ConfigError for an unknown method.
    """
    own, plain = find(config.train.method).defaults, RunConfig()
    free = {name: value for name, value in own.items() if attrgetter(name)(config) == attrgetter(name)(plain)}
    return _with(config, free)


def usual(name: str) -> RunConfig:
    """The options of a run of this method where the user gives none; ConfigError for an unknown method."""
    return with_defaults(RunConfig(train=TrainConfig(method=name)))


def weighted(config: RunConfig) -> RunConfig:
    """The options of a run with the weighting of logged events that its method requires (IPS)."""
    weighting = find(config.train.method).weighting
    return config if weighting is None else _with(config, {"world_model.weighting": weighting})


def _with(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The options of a run with other values, by their place in RunConfig; ConfigError for an unknown option."""
    for option, value in values.items():
        names = option.split(".")
        parts: list[Any] = [config]
        for name in names:
            if not hasattr(parts[-1], name):
                raise ConfigError(f"{option} is no option of a run")
            parts.append(getattr(parts[-1], name))
        parts[-1] = value
        for depth in range(len(names), 0, -1):
            parts[depth - 1] = replace(parts[depth - 1], **{names[depth - 1]: parts[depth]})
        config = parts[0]
    return config
