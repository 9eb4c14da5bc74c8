"""The plan of a run: its options and its log made one configuration in which nothing is left open."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from darlr.agents.references import candidate_count
from darlr.data.log import InteractionLog
from darlr.data.sources import BUILT_IN
from darlr.experiments.logs import Logs
from darlr.experiments.size import Size, size_of
from darlr.methods import find, usual, weighted
from darlr.options import RunConfig
from darlr.options.json import to_json
from darlr.options.names import named
from darlr.simulation.exits import resolve as resolve_exit
from darlr.world.implicit import resolve as resolve_model

IN_MEMORY = "in memory"  # the name of a data set that lies in no folder


@dataclass(frozen=True)
class Plan:
    """Everything that a run does, decided before it begins.

    config: the options; none of them is "auto" or left out. data: the checksum of the log. size: what the run takes.
    asked: the options as they were given.
    """

    config: RunConfig
    data: str
    size: Size
    asked: RunConfig

    @property
    def usual(self) -> RunConfig:
        """The defaults of the run's method."""
        return usual(self.config.train.method)

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Each option by its name on the command line, its value, and where the value comes from."""
        parts = self.config, RunConfig(), self.usual, self.asked
        values, plain, mine, asked = (named(to_json(one)) for one in parts)
        for name, value in values.items():
            if value != asked[name]:
                origin = "decided by the method and the log"
            elif value != mine[name]:
                origin = "given"
            else:
                origin = "default" if value == plain[name] else "default of the method"
            yield name, value, origin if name != "method" else "given"

    def table(self) -> Table:
        """The same as a table for a terminal."""
        table = Table("option", "value", "from", title=f"plan of a run on {self.config.data}", title_justify="left")
        for name, value, origin in self.rows():
            table.add_row(name, _text(value), origin, style="" if origin != "default" else "dim")
        return table


def make_plan(asked: RunConfig, logs: Logs) -> Plan:
    """Decide everything that the options leave open, by the method and the log.

    Decided are: the weights of the world model and other options that come with the method, the kind of the world
    model, the exit rule, the share of events that is kept for evaluation, the number of the selector's candidates, the
    label, and the full paths of folders. A plan's own options give the same plan again.
    Raises ConfigError where the options do not suit the log.
    """
    config = decided(asked, logs.whole, len(logs.scope.users))
    config = replace(config, split=replace(config.split, evaluation=logs.evaluation))
    return Plan(config, logs.checksum, size_of(logs.whole, config), asked)


def decided(asked: RunConfig, log: InteractionLog, users: int) -> RunConfig:
    """The options without what only the whole data set can tell. users: how many are recommended to."""
    config = weighted(anchored(asked))
    train = config.train
    selector = replace(train.selector, candidates=candidate_count(train.selector, users))
    source: Literal["logged", "predicted"] = "logged" if log.implicit else "predicted"
    tables = replace(
        train.tables,
        indicator=source if train.tables.indicator == "auto" else train.tables.indicator,
        neighbour_source=source if train.tables.neighbour_source == "auto" else train.tables.neighbour_source,
    )
    return replace(
        config,
        label=config.label or title(train.method),
        world_model=resolve_model(config.world_model, log),
        train=replace(train, session=resolve_exit(train.session, log), selector=selector, tables=tables),
    )


def title(method: str) -> str:
    """What tables call a method."""
    return find(method).title + " (true rewards)" * find(method).truth


def anchored(config: RunConfig) -> RunConfig:
    """The same with folders by their full paths, so that the run can be used from any working directory."""
    data = config.data if config.data in BUILT_IN or not Path(config.data).exists() else _full(config.data)
    return replace(config, data=data, world=config.world if config.fits_world else _full(config.world))


def _full(folder: str) -> str:
    return str(Path(folder).resolve())


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def differing(one: RunConfig, other: RunConfig) -> list[str]:
    """The options in which two configurations differ, by their names on the command line."""
    first, second = named(to_json(one)), named(to_json(other))
    return [name for name in first if first[name] != second[name]]
