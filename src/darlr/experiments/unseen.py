"""Parts of a report on events that training never saw: errors, off-policy values, and what users did next."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import within_scope
from darlr.data.split import select
from darlr.errors import MachineError
from darlr.evaluation.held_out import held_out_sums
from darlr.evaluation.lists import Entry, popularity
from darlr.evaluation.next_items import UnseenItems, last_events, measure, rank, unseen_items
from darlr.evaluation.off_policy import bandit_of, mean_reward, off_policy
from darlr.evaluation.report import Section
from darlr.evaluation.sections import Known, failures, held_out_section, next_items_section, off_policy_section
from darlr.evaluation.verdict import Trust
from darlr.experiments.finished import FinishedRun
from darlr.experiments.logs import Logs
from darlr.policies.fixed import Random
from darlr.simulation.session import Session
from darlr.world.fitted import FittedWorldModel
from darlr.world.models.bias import bias_table

EVALUATION_WORLD = "evaluation world model"
FEW = 30  # users with a last event, below which all kept events are the test


def sections(
    run: FinishedRun, learned: Sequence[Entry], kept: Logs, fitted: FittedWorldModel | None = None
) -> tuple[list[Section], Trust]:
    """Errors on unseen events, off-policy values where propensities are logged, and a sentence on their quality.

    learned: the policies. run: whose world model is measured, and expects rewards for DM and DR. fitted: the evaluation
    world model, where sessions are played on one.
    """
    known = [_known("world model of the run", run.world.reward, run.logs, kept)]
    if fitted is not None:
        known.append(_known(EVALUATION_WORLD, fitted.reward, kept, run.logs, trained=fitted.trained))
    measured = [one for one in known if one is not None]
    reasons = [reason for one in measured if one.model == EVALUATION_WORLD for reason in failures(one)]
    found = [held_out_section(measured, EVALUATION_WORLD)] if measured else []
    log = within_scope(kept.recorded, kept.scope)
    if log.propensity is not None and len(log):
        found.append(_off_policy(log, learned, run.logs.unit.show(run.world.reward)))
    if reasons or len(measured) < len(known):
        doubt = f"The {EVALUATION_WORLD} fails its test ({'; '.join(reasons) or 'no unseen event could test it'})"
        return found, Trust(f"{doubt}, so the order of these rows means nothing.", believable=False)
    passed = f"The {EVALUATION_WORLD} passes its test, so it can rank policies"
    return found, Trust(f"{passed}; its values are what it believes.")


def _known(name: str, table: Tensor, own: Logs, other: Logs, *, trained: bool = True) -> Known | None:
    """Errors of a model of `own` events on the `other` ones, in the log's unit; None without any in new cells."""
    seen, unseen = (within_scope(log, own.scope) for log in (own.fitted, other.recorded))
    of, known = (log.user * log.n_items + log.item for log in (unseen, seen))
    unseen = select(unseen, ~np.isin(of, known))
    if not len(unseen):
        return None
    if own.catalogue.implicit:
        baseline, simple = "popularity list", popularity(own.catalogue).expand(len(table), -1)
    else:
        baseline, simple = "bias model", bias_table(own.train, own.held_out, own.fitted, own.scope)
    shown = [own.unit.show(rewards).numpy() for rewards in (table, simple)]
    own_sums, simple_sums = (held_out_sums(rewards, unseen, seen, own.unit.low) for rewards in shown)
    return Known(name, baseline, len(unseen), own_sums, simple_sums, trained)


def _off_policy(log: InteractionLog, learned: Sequence[Entry], reward: Tensor) -> Section:
    """Every policy on the kept events, and uniform choices."""
    found = {}
    for entry in [*learned, Entry("random", [Random()], "log", greedy=False)]:
        for seed, policy in enumerate(entry.policies, 1):
            name = f"{entry.name}, {'greedy' if entry.greedy else 'sampled'}"
            name += f", {seed} of {len(entry.policies)}" if len(entry.policies) > 1 else ""
            found[name] = off_policy(bandit_of(policy, log, reward, greedy=entry.greedy))
    return off_policy_section(found, mean_reward(log.user, log.reward))


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
        for name, baseline in ((name, one) for name, one in BASELINES.items() if one.reported):
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
