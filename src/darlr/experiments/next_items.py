"""Learned policies and usual recommenders, by what users did next in the events that training never saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import within_scope
from darlr.data.split import select
from darlr.errors import MachineError
from darlr.evaluation.lists import Entry
from darlr.evaluation.next_items import UnseenItems, last_events, measure, rank, unseen_items
from darlr.evaluation.report import Section
from darlr.evaluation.sections import next_items_section
from darlr.experiments.logs import Logs
from darlr.simulation.session import Session

FEW = 30  # users with a last event, below which all kept events are the test


@dataclass(frozen=True)
class Shuffled:
    """All items in an order that chance draws for each user."""

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], uniform numbers."""
        shape = len(session.user), session.n_items
        return torch.rand(shape, generator=torch.Generator().manual_seed(int(session.user[0])))


def next_items(entries: Sequence[Entry], logs: Logs, kept: InteractionLog, *, usual: bool = True) -> list[Section]:
    """The section of a report, or none where no user has a relevant test item.

    entries: rows of the report, of which greedy ones that read no truth count. kept: the events that training never
    saw, in log codes and in their own unit. usual: with the baselines that reports have, where their library is there.
    """
    from darlr.policies.registry import BASELINES, fit_baseline  # every baseline: only where they are fitted

    found, tested = _tested(kept, logs)
    if not (found.gain > 0).any():
        return []
    rows = {one.name: one for one in entries if one.greedy and not one.exit_aware and one.kind != "truth"}
    ranked = {name: (one.kind, rank(one.policies, found)) for name, one in rows.items()}
    left_out = []
    if usual:
        ranked["random"] = ("log", rank([Shuffled()], found))
        context = logs.context(None)
        for name, baseline in BASELINES.items():
            if not baseline.reported:
                continue
            try:
                ranked[baseline.title] = ("log", rank([fit_baseline(name, context)], found))
            except MachineError as error:
                left_out.append(f"{baseline.title} is left out: {error}.")
    return [next_items_section(measure(ranked), tested, left_out)]


def _tested(kept: InteractionLog, logs: Logs) -> tuple[UnseenItems, str]:
    """The test events, and a sentence on them: each user's last ones where the log has times."""
    test, training = within_scope(kept, logs.scope), within_scope(logs.recorded, logs.scope)
    what = "drawn at random from each user's events"
    if test.timestamp is not None and training.timestamp is not None:
        last = last_events(test, training)
        if len(set(test.user[last].tolist())) >= FEW or last.all():
            test, what = select(test, last), "those that are later than all of the user's training events"
        else:
            what += f", as fewer than {FEW} users have one that is later than all of their training events"
    found = unseen_items(test, training)
    return found, f"The test events are {what}: {len(found.user):,} items of {len(found.users):,} users."
