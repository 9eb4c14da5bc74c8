"""An arm as the page sees it: the policy, the run in whose folder it lies where there is one, and what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender
from darlr.api.explain import Explainer, explainer
from darlr.data.log import FeatureColumn, InteractionLog
from darlr.errors import ConfigError, DarlrError
from darlr.experiments.finished import FinishedRun, open_run
from darlr.experiments.runs import CONFIG
from darlr.policies.fixed import Staying
from darlr.server.arms import Arm
from darlr.server.page.finder import Finder
from darlr.server.page.messages import ArmAbout, Described, Feature
from darlr.serving.policy import TrainedPolicy
from darlr.simulation.exits import CategoryExit, Exit, build_exit, never
from darlr.simulation.felt import FeltRule

MANY_LEVELS, FEW_LEVELS = 11, 5  # the most rewards that are buttons, and the number where rewards are continuous
FEATURES, TEXT = 8, 200  # the most features of a card, and letters of one
ALONE = (
    "Only the policy was found in {folder}, not its run. Names of categories and features, reference users, rewards of "
    "training and curves are not shown. Serve the folder of the run to see them."
)


@dataclass(frozen=True)
class Opened:
    """An arm, with its run if that can be opened. policy: that of the arm. why: sentences on what is missing."""

    arm: Arm
    policy: TrainedPolicy
    run: FinishedRun | None
    why: tuple[str, ...]

    @cached_property
    def log(self) -> InteractionLog | None:
        """The log of the run, in the codes of the policy."""
        return None if self.run is None else self.run.logs.known

    @cached_property
    def explainer(self) -> Explainer:
        """What explains items. Raises a DarlrError where the run's folder lacks what that needs."""
        assert self.run is not None
        return explainer(self.run)

    @cached_property
    def recommender(self) -> Recommender | None:
        """The networks of a learned policy."""
        policy = self.policy.policy
        return policy.recommender if isinstance(policy, RecommenderPolicy) else None

    @cached_property
    def rule(self) -> Exit | None:
        """When users leave; None where that is unknown, `never` where no item makes them leave."""
        if self.run is not None:
            return build_exit(self.run.config.train.session, self.run.logs.catalogue)
        own, policy = self.recommender, self.policy.policy
        if own is not None and own.leaving is not None:
            return CategoryExit(own.bits, *own.leaving)
        return policy.leaving if isinstance(policy, Staying) else None

    @property
    def turns(self) -> int | None:
        """The most turns of a session."""
        return None if self.run is None else self.run.config.train.session.turns

    @cached_property
    def popularity(self) -> NDArray[np.int64]:
        """The number of users who have logged each item."""
        return np.bincount(self.policy.logged.items.numpy(), minlength=len(self.arm.policy.items.ids))

    @cached_property
    def by_popularity(self) -> NDArray[np.int64]:
        """The items, most popular first."""
        return np.argsort(-self.popularity, kind="stable")

    @cached_property
    def categories(self) -> tuple[NDArray[np.int64], tuple[str, ...]] | None:
        """The categories of each item, [I, most] with -1 for none, and their names."""
        codes = None if self.log is None else self.log.category_codes()
        if self.log is None or codes is None:
            return None
        return codes, next(one.vocabulary for one in self.log.item_features if one.name == self.log.category)

    @cached_property
    def users(self) -> Finder:
        """Finds users by their ids."""
        return Finder(map(str, self.arm.policy.users.ids))

    @cached_property
    def items(self) -> Finder:
        """Finds items by their ids, categories and features in words."""
        columns = [] if self.log is None else [one for one in self.log.item_features if one.kind != "numeric"]
        ids = self.arm.policy.items.ids
        return Finder(" ".join((str(name), *_words(columns, code))) for code, name in enumerate(ids))

    def item(self, code: int) -> Described:
        """What is known of an item."""
        columns = () if self.log is None else self.log.item_features
        main = None if self.log is None else self.log.category
        own = [column for column in columns if column.name == main]
        return Described(
            id=str(self.arm.policy.items.ids[code]),
            categories=[word[:TEXT] for word in _words(own, code)],
            features=_features([column for column in columns if column.name != main], code),
            events=int(self.popularity[code]),
        )

    def user(self, code: int) -> Described:
        """What is known of a user."""
        start = self.policy.logged.start
        columns = () if self.log is None else self.log.user_features
        return Described(
            id=str(self.arm.policy.users.ids[code]),
            features=_features(columns, code),
            events=int(start[code + 1] - start[code]),
        )

    def about(self) -> ArmAbout:
        """The head of the page."""
        arm, (low, high) = self.arm, self.arm.policy.unit.bounds
        levels = self._levels()
        return ArmAbout(
            arm=arm.name,
            run=arm.run,
            version=arm.policy.version,
            share=arm.share,
            method=None if self.run is None else self.run.config.label,
            users=len(arm.policy.users.ids),
            items=len(arm.policy.items.ids),
            low=low,
            high=high,
            levels=levels,
            clicks=len(levels) == 2,
            turns=self.turns,
            exits=self._exits(),
            believes=self.recommender is not None and bool(self.recommender.config.belief),
            missing=list(self.why),
        )

    def _levels(self) -> list[float]:
        low, high = self.arm.policy.unit.bounds
        if self.run is not None:
            recorded = self.run.logs.recorded
            values = np.unique(recorded.reward)
            if recorded.implicit:
                return [low, high]
            if len(values) <= MANY_LEVELS:
                return [float(value) for value in values]
        whole = float(low).is_integer() and float(high).is_integer() and high - low < MANY_LEVELS
        count = int(high - low) + 1 if whole else FEW_LEVELS
        return [float(f"{value:.6g}") for value in np.linspace(low, high, count)]

    def _exits(self) -> str | None:
        rule = self.rule
        if rule is None:
            return None
        if rule is never:
            return "No item makes a user leave."
        if isinstance(rule, FeltRule):
            return rule.sentence
        recent = "the last item" if rule.window == 1 else f"the last {rule.window} items"
        if isinstance(rule, CategoryExit) and rule.threshold < 1:
            one = recent if rule.window == 1 else f"one of {recent}"
            return f"Users leave when an item shares a category with {one}."
        if isinstance(rule, CategoryExit):
            return f"Users leave when a category of an item occurred more than {rule.threshold:g} times in {recent}."
        return f"Users leave when an item is too similar to one of {recent}."


def open_arm(arm: Arm) -> Opened:
    """The arm with its run, where the folder holds one that fits the policy. Raises ConfigError for an ONNX policy."""
    folder, policy = arm.folder, arm.policy
    if not isinstance(policy, TrainedPolicy):
        raise ConfigError(f"arm {arm.name!r} is served on ONNX Runtime; the page needs the folder of its run")
    if not (folder / CONFIG).is_file():
        return Opened(arm, policy, None, (ALONE.format(folder=_short(folder)),))
    try:
        run = open_run(folder)
    except (DarlrError, OSError) as error:
        return Opened(arm, policy, None, (ALONE.format(folder=_short(folder)), f"The run cannot be opened: {error}."))
    log = run.logs.known
    if list(log.item_ids) != list(arm.policy.items.ids) or list(log.user_ids) != list(arm.policy.users.ids):
        return Opened(
            arm, policy, None, (ALONE.format(folder=_short(folder)), "The run has other ids than the policy.")
        )
    return Opened(arm, policy, run, ())


def _short(folder: Path) -> str:
    return folder.resolve().name


def _words(columns: Sequence[FeatureColumn], code: int) -> Iterator[str]:
    """The values of an item's features that are words."""
    for column in columns:
        for value in np.atleast_1d(column.values[code]):
            if value >= 0:
                yield column.vocabulary[int(value)]


def _features(columns: Sequence[FeatureColumn], code: int) -> list[Feature]:
    found = []
    for column in columns[:FEATURES]:
        if column.kind == "numeric":
            number = float(column.values[code])
            text = "" if np.isnan(number) else f"{number:.4g}"
        else:
            text = ", ".join(_words([column], code))
        if text:
            found.append(Feature(name=column.name[:TEXT], value=text[:TEXT]))
    return found
