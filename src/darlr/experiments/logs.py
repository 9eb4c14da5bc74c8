"""The log of a run: opened, thinned, split; what of it is kept for evaluation."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, catalogue, scope_of, within_scope
from darlr.data.sources import open_source
from darlr.data.split import reserve, select, split
from darlr.data.store import checksum
from darlr.data.thin import thin
from darlr.data.unit import Unit, as_learned, unit_of
from darlr.evaluation.truth import has_truth
from darlr.options import RunConfig

WITHOUT_TRUTH = 0.3  # share of a user's items kept from training where nothing but the log can judge it
NOTHING_KEPT = (
    "{folder}: cannot be evaluated: its data set {data} has no truth (complete rewards to play sessions on), and the "
    "run kept no events for an evaluation world model. Train it with --split.evaluation 0.3, the default for such "
    "data, or add complete rewards with darlr.evaluation.truth.write_truth. `darlr recommend` works without"
)


@dataclass(frozen=True)
class Logs:
    """A log, its training and held-out parts, and the checksum of its data set; rewards as they are learned.

    recorded: the whole log with its rewards in its own unit.
    evaluation: the share of each user's items (split.evaluation) whose events are in none of them. kept: these events,
    in their own unit, for evaluation alone.
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
        """How rewards are learned, and the way back."""
        return self.whole.unit

    @property
    def reserved(self) -> str:
        """What is kept for evaluation, in words: single events where propensities speak of them (data.split)."""
        return f"{self.evaluation:.0%} of " + ("each user's items" if self.whole.propensity is None else "the events")

    @property
    def fitted(self) -> InteractionLog:
        """What the world model saw in the end: the whole log after a refit, else its training part."""
        return self.whole if self.refit else self.train

    @property
    def unseen(self) -> InteractionLog:
        """Held-out events that the world model never saw: none after a refit."""
        return select(self.whole, np.zeros(len(self.whole), dtype=bool)) if self.refit else self.held_out

    @cached_property
    def scope(self) -> Scope:
        """Whom we recommend to, and what: everything after the world model speaks in its codes."""
        return scope_of(self.whole)

    @cached_property
    def catalogue(self) -> InteractionLog:
        """What the world model saw of the scope's items, by all users; items in scope codes."""
        return catalogue(self.fitted, self.scope)

    @cached_property
    def train_catalogue(self) -> InteractionLog:
        """The same of the training part."""
        return catalogue(self.train, self.scope)

    @cached_property
    def known(self) -> InteractionLog:
        """All that a policy may have learned by heart: events of the scope's users on its items, in scope codes."""
        return within_scope(self.whole, self.scope)

    @cached_property
    def unseen_in_scope(self) -> InteractionLog:
        """`unseen` events of the scope's users on its items, both in scope codes; also its ids and features."""
        return within_scope(self.unseen, self.scope)


def open_logs(config: RunConfig) -> Logs:
    """Read the data set that the configuration names, take off what is kept for evaluation, and split the rest."""
    return divided(open_source(config.data, synthetic=config.synthetic), config)


def divided(source: InteractionLog, config: RunConfig) -> Logs:
    """`open_logs` of a data set that was read already."""
    share = evaluation_share(config)
    rest, kept = reserve(source, share) if share else (source, None)
    recorded = thin(rest, config.split)
    log = as_learned(recorded, unit_of(recorded))
    train, held_out = split(log, config.split)
    return Logs(log, train, held_out, checksum(source), config.split.refit, recorded, share, kept)


def evaluation_share(config: RunConfig) -> float:
    """`split.evaluation`, or where it is left out 0 for data with a truth and WITHOUT_TRUTH for others."""
    if config.split.evaluation is not None:
        return config.split.evaluation
    return 0.0 if has_truth(config.data) else WITHOUT_TRUTH
