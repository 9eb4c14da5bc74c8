"""What a method is, and where methods are found by name.

All methods are one learner. They differ in the reward that the simulated session pays, and in what they need for it.
A method is a value of `Method`: one file here, or a call of `register` from outside (docs/add-a-method.md).
"""

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from darlr.errors import ConfigError
from darlr.methods.rewards import RewardTables, Shaped, Step
from darlr.options import RewardConfig, RunConfig, TrainConfig
from darlr.options.checks import find_named
from darlr.world.tables import World

ENTRY_POINTS = "darlr.methods"  # group of entry points: names of methods -> values of Method in installed packages


def frozen(world: World, config: TrainConfig) -> Float[Tensor, "U I"]:
    """r0, the world model's mean reward."""
    return world.reward


def no_table(world: World, config: TrainConfig) -> None:
    """No table of uncertainty."""


def looked_up(tables: RewardTables, step: Step, config: RewardConfig) -> Float[Tensor, " B"]:
    """The start table's entry of each user and item."""
    return tables.start[step.user, step.item]


def risk_of(
    tables: RewardTables, step: Step, estimate: Float[Tensor, " B"], config: RewardConfig
) -> Float[Tensor, " B"]:
    """The risk table's entry of each user and item; 0 without such a table."""
    return torch.zeros_like(estimate) if tables.risk is None else tables.risk[step.user, step.item]


@dataclass(frozen=True)
class Cost:
    """What a method takes, as measured, for what is said before a run starts.

    tables: of users x items at the peak, beyond those that every method has. step: seconds of a simulated step; item:
    seconds more for each item of the catalogue.
    """

    tables: int = 0
    step: float = 4e-6
    item: float = 8e-9

    def seconds(self, items: int) -> float:
        """A simulated step with a catalogue of so many items."""
        return self.step + self.item * items


@dataclass(frozen=True)
class Method:
    """A method: reward = estimate - lambda_U * penalty + lambda_E * entropy - shift.

    name: as the option `method` has it. title: as tables show it.
    start: the table [U, I] that the estimate starts from; also the policy's prior, where it has one.
    risk: the table [U, I] of uncertainty, or None.
    estimate: r, float32 [B]; by default an entry of `start`.
    penalty: P_U, float32 [B], given the estimate; by default an entry of `risk`, 0 without one.
    entropy: whether DORL's entropy term P_E is added.
    references: whether reference users are picked for each recommendation; `step.references` holds them, and the
    estimates are written into `tables.previous`.
    truth: whether it reads the truth: then it is a reference and no method.
    weighting: how the world model must have weighted logged rows; None = as the options say.
    reads: the fields of RewardConfig that it reads.
    defaults: its own defaults of options, by their place in RunConfig, e.g. {"train.recommender.prior": 10.0}.
    """

    name: str
    title: str
    start: Callable[[World, TrainConfig], Tensor] = frozen
    risk: Callable[[World, TrainConfig], Tensor | None] = no_table
    estimate: Callable[[RewardTables, Step, RewardConfig], Tensor] = looked_up
    penalty: Callable[[RewardTables, Step, Tensor, RewardConfig], Tensor] = risk_of
    entropy: bool = False
    references: bool = False
    truth: bool = False
    weighting: Literal["none", "inverse-popularity"] | None = None
    reads: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = Cost()

    def __post_init__(self) -> None:
        known = {option.name for option in fields(RewardConfig)}
        if unknown := set(self.reads) - known:
            raise ConfigError(f"method {self.name}: reads no option of the reward: {', '.join(sorted(unknown))}")
        for name in self.defaults:
            _value(RunConfig(), name)

    def tables(self, world: World, config: TrainConfig) -> RewardTables:
        """The tables that the method reads, before training."""
        start, previous = _shaped(self, "start", self.start(world, config), world), world.reward
        if self.references:
            previous = start.clone()
            start = previous if config.reward.refine == "in_place" else start
        risk = self.risk(world, config)
        risk = None if risk is None else _shaped(self, "risk", risk, world)
        return RewardTables(world.reward, start, risk, previous, world.entropy)

    def pay(self, tables: RewardTables, step: Step, config: RewardConfig) -> Shaped:
        """What one step of B sessions pays."""
        estimate = self.estimate(tables, step, config)
        uncertainty = self.penalty(tables, step, estimate, config)
        entropy = tables.entropy.lookup(step.last, step.item) if self.entropy else torch.zeros_like(estimate)
        return Shaped(estimate, uncertainty, entropy)

    def shift(self, tables: RewardTables, config: RewardConfig) -> float:
        """The predecessors' MIN_R: the least that a step can pay by the tables; subtracted, no step pays below 0.

        Eq. 16 has no table, so a dynamic penalty can still push a step below 0.
        """
        least = tables.start if tables.risk is None else tables.start - config.lambda_u * tables.risk
        return float(least.min()) + (config.lambda_e * tables.entropy.floor() if self.entropy else 0.0)


def _shaped(method: Method, name: str, table: Tensor, world: World) -> Tensor:
    """The table, if it has a row for each user and a column for each item; ConfigError otherwise."""
    if table.shape != world.reward.shape:
        wanted, found = (list(one.shape) for one in (world.reward, table))
        raise ConfigError(f"method {method.name}: its table `{name}` must be users x items, {wanted}, not {found}")
    return table


METHODS: dict[str, Method] = {}


def register(*methods: Method, replace: bool = False) -> None:
    """Make methods known by their names; raises ConfigError for a name that another method has.

    replace: take that method's place instead, as when a cell of a notebook runs again.
    """
    for method in methods:
        if METHODS.get(method.name, method) is not method and not replace:
            raise ConfigError(
                f"a method is called {method.name!r} already; choose another name, or define it anew with replace=True"
            )
        METHODS[method.name] = method


def find(name: str) -> Method:
    """The method of that name, also one that an installed package brings; ConfigError with a hint for any other."""
    if name not in METHODS:
        _load_installed()
    return find_named(name, METHODS, "method", "method", "import the module that registers it first")


@cache
def _load_installed() -> None:
    """Register the methods that installed packages name in the group `darlr.methods` of their entry points."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        register(point.load())


def with_defaults(config: RunConfig) -> RunConfig:
    """The options of a run with its method's own defaults: what a user's options are set on.

    Raises ConfigError for an unknown method.
    """
    for name, value in find(config.train.method).defaults.items():
        config = _with(config, name.split("."), value)
    return config


def usual(name: str) -> RunConfig:
    """The options of a run of this method where the user gives none; ConfigError for an unknown method."""
    return with_defaults(RunConfig(train=TrainConfig(method=name)))


def weighted(config: RunConfig) -> RunConfig:
    """The options of a run with the weighting of logged rows that its method needs (IPS); others as they are."""
    weighting = find(config.train.method).weighting
    return config if weighting is None else _with(config, ["world_model", "weighting"], weighting)


def _value(config: RunConfig, name: str) -> Any:
    found: Any = config
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{name} is no option of a run")
        found = getattr(found, part)
    return found


def _with(config: Any, path: list[str], value: Any) -> Any:
    inner = value if len(path) == 1 else _with(getattr(config, path[0]), path[1:], value)
    return replace(config, **{path[0]: inner})
