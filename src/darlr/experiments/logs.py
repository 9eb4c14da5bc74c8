"""The log of a run: read it, keep a share of it for evaluation, thin it, and split the rest."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, catalogue, scope_of, within_scope
from darlr.data.sources import open_source
from darlr.data.split import oldest, reserve, select, split, thin
from darlr.data.store import checksum
from darlr.data.unit import Unit, as_learned, unit_of
from darlr.evaluation.lists import Source
from darlr.evaluation.truth import has_truth
from darlr.options import RunConfig, TablesConfig
from darlr.world.context import Context
from darlr.world.tables import World

WITHOUT_TRUTH = 0.3  # share of the items of each user that is kept for evaluation where there is no truth
NOTHING_KEPT = (
    "{folder}: cannot be evaluated: its data set {data} has no truth (complete rewards to play sessions on), and the "
    "run kept no events for an evaluation world model. Train it with a share of 0.3 (option split.evaluation), the "
    "default for such data, or add complete rewards with darlr.evaluation.truth.write_truth. In Python you can also "
    "give events that training never saw: darlr.evaluate(model, test). You can recommend without an evaluation"
)


@dataclass(frozen=True)
class Logs:
    """A log, its training part and its held-out part, with rewards in the unit of learning.

    checksum: of the data set. refit: whether the world model is fitted again to the whole log. recorded: the whole log,
    with rewards in its own unit. evaluation: the share of the items of each user (split.evaluation) whose events are
    in none of these. kept: these events, with rewards in their own unit. Only evaluation reads them.
    """

    whole: InteractionLog
    train: InteractionLog
    held_out: InteractionLog
    checksum: str
    refit: bool
    recorded: InteractionLog
    evaluation: float = 0.0
    kept: InteractionLog | None = None

    @property
    def unit(self) -> Unit:
        """The unit of learning, and the way back to the unit of the log."""
        return self.whole.unit

    @property
    def reserved(self) -> str:
        """The share that is kept for evaluation, in words. With propensities single events are kept (data.split)."""
        return f"{self.evaluation:.0%} of " + ("each user's items" if self.whole.propensity is None else "the events")

    @property
    def fitted(self) -> InteractionLog:
        """The events that the world model is fitted to: the whole log after a refit, else the training part."""
        return self.whole if self.refit else self.train

    @property
    def unseen(self) -> InteractionLog:
        """The held-out events that the world model is not fitted to. After a refit there are none."""
        return select(self.whole, np.zeros(len(self.whole), dtype=bool)) if self.refit else self.held_out

    @cached_property
    def scope(self) -> Scope:
        """The users that are recommended to and the items that are recommended. All tables have their codes."""
        return scope_of(self.whole)

    @cached_property
    def catalogue(self) -> InteractionLog:
        """Events of all users on the items of the scope, in scope codes of items, that the world model is fitted to."""
        return catalogue(self.fitted, self.scope)

    @cached_property
    def train_catalogue(self) -> InteractionLog:
        """Events of all users on the items of the scope, in scope codes of items, of the training part."""
        return catalogue(self.train, self.scope)

    @cached_property
    def known(self) -> InteractionLog:
        """All events of the users of the scope on its items, in scope codes. A policy may repeat them."""
        return within_scope(self.whole, self.scope)

    @cached_property
    def unseen_in_scope(self) -> InteractionLog:
        """The `unseen` events of the users of the scope on its items, in scope codes, with all ids and features."""
        return within_scope(self.unseen, self.scope)

    def source(self, world: World | None, tables: TablesConfig) -> Source:
        """Return the data that simple rows read. world: the world model of this log. tables: its options."""
        return Source(self.catalogue, self.train, self.held_out, self.fitted, self.scope, world, tables)

    def context(self, world: World | None, turns: int = Context.turns) -> Context:
        """Return the data that baselines read. world: the world model's tables, for those that need them."""
        return Context(self.fitted, self.held_out, self.scope, self.catalogue, world, turns)


def open_logs(config: RunConfig) -> Logs:
    """Read the data set that the options name, keep a share for evaluation, and split the rest."""
    return divided(open_source(config.data, options=config.synthetic), config)


def divided(source: InteractionLog, config: RunConfig) -> Logs:
    """Return the same for a data set that was read already.

    The default share that is kept is 0 for a data set with a truth, and WITHOUT_TRUTH for others.
    """
    share = config.split.evaluation
    if share is None:
        share = 0.0 if has_truth(config.data) else WITHOUT_TRUTH
    rest, kept = reserve(source, share) if share else (source, None)
    recorded = thin(rest, config.split)
    log = as_learned(recorded, unit_of(oldest(recorded)))  # an extended log keeps its unit
    train, held_out = split(log, config.split)
    return Logs(log, train, held_out, checksum(source), config.split.refit, recorded, share, kept)
