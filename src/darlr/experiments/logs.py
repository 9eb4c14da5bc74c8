"""The log of a run: read it, keep a share of it for evaluation, thin it, and split the rest."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from darlr.data.log import EVENTS, InteractionLog
from darlr.data.scope import Hidden, Scope, catalogue, hide, scope_of, within_scope
from darlr.data.sources import open_source
from darlr.data.split import oldest, reserve, select, split, thin
from darlr.data.store import checksum
from darlr.data.unit import Unit, as_learned, unit_of
from darlr.errors import RunError
from darlr.evaluation.lists import Source
from darlr.evaluation.truth import Truth, has_truth, of_users
from darlr.options import RunConfig, TablesConfig
from darlr.world.context import Context
from darlr.world.tables import World

WITHOUT_TRUTH = 0.3  # share of the items of each user that is kept for evaluation where there is no truth
HIDE_SOME = "train with a share of them hidden, such as 0.2 (option split.hidden)"
NOTHING_KEPT = (
    "{folder}: cannot be evaluated: its data set {data} has no truth (complete rewards to play sessions on) or none is "
    "to be used, and the run kept no events for an evaluation world model. Train it with a share of 0.3 (option "
    "split.evaluation), the default for such data, or add complete rewards with darlr.evaluation.truth.write_truth. In "
    "Python you can also give events that training never saw: darlr.evaluate(model, test). You can recommend without "
    "an evaluation"
)


@dataclass(frozen=True)
class Logs:
    """A log, its training part and its held-out part, with rewards in the unit of learning.

    checksum: of the data set. refit: whether the world model is fitted again to the whole log. recorded: the whole log,
    with rewards in its own unit. evaluation: the share of the items of each user (split.evaluation) whose events are
    in none of these. kept: these events, with rewards in their own unit. hidden: the users who are in none of these.
    unseen_of_all: the kept events and all events of hidden users, in codes of the whole data set. Only evaluation reads
    the last three.
    """

    whole: InteractionLog
    train: InteractionLog
    held_out: InteractionLog
    checksum: str
    refit: bool
    recorded: InteractionLog
    evaluation: float = 0.0
    kept: InteractionLog | None = None
    hidden: Hidden | None = None
    unseen_of_all: InteractionLog | None = None

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
        return replace(self._context, world=world, turns=turns)

    @cached_property
    def _context(self) -> Context:
        return Context(self.fitted, self.held_out, self.scope, self.catalogue, None)


def known_part(truth: Truth, logs: Logs) -> Truth:
    """Return the truth of the users of these logs. truth: of all users of the data set."""
    return truth if logs.hidden is None else of_users(truth, logs.hidden.known)


def new_part(truth: Truth, logs: Logs) -> Truth:
    """Return the truth of the users who were hidden from training. Raises RunError where there are none."""
    return of_users(truth, hidden_of(logs).new)


def hidden_of(logs: Logs) -> Hidden:
    """Return who was hidden from training. Raises RunError where nobody was."""
    if logs.hidden is None:
        raise RunError(f"{logs.whole.name}: no user was hidden from training, so there are no new users; {HIDE_SOME}")
    return logs.hidden


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
    rest, kept = reserve(source, share, config.split.draw) if share else (source, None)
    hidden = unseen = None
    if config.split.hidden:
        rest, hidden = hide(rest, config.split)
        unseen = _unseen(source, kept, hidden)
        kept = None if kept is None else hide(kept, config.split)[0]
    recorded = thin(rest, config.split)
    log = as_learned(recorded, unit_of(oldest(recorded)))  # an extended log keeps its unit
    train, held_out = split(log, config.split)
    return Logs(log, train, held_out, checksum(source), config.split.refit, recorded, share, kept, hidden, unseen)


def _unseen(source: InteractionLog, kept: InteractionLog | None, hidden: Hidden) -> InteractionLog:
    """Return the kept events of known users and all events of hidden ones, in the codes of the whole data set."""
    users = scope_of(source).users[hidden.new]
    own = select(source, np.isin(source.user, users))
    if kept is None:
        return own
    parts = own, select(kept, ~np.isin(kept.user, users))
    columns = {name: [getattr(part, name) for part in parts] for name in EVENTS}
    joined: dict[str, Any] = {name: np.concatenate(arrays) for name, arrays in columns.items() if arrays[0] is not None}
    return replace(source, **joined)
