"""The rewards of an evaluation, from the truth or a world model of unseen events, and report parts on such events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import Scope, within_scope
from darlr.data.split import select, split
from darlr.data.unit import as_learned
from darlr.errors import DataError, MachineError, RunError
from darlr.evaluation.held_out import held_out_sums
from darlr.evaluation.lists import Entry, popularity
from darlr.evaluation.next_items import UnseenItems, last_events, measure, rank, unseen_items
from darlr.evaluation.off_policy import bandit_of, mean_reward, off_policy
from darlr.evaluation.report import Section
from darlr.evaluation.sections import Known, failures, held_out_section, next_items_section, off_policy_section
from darlr.evaluation.truth import Truth
from darlr.evaluation.verdict import Trust
from darlr.experiments.finished import FinishedRun
from darlr.experiments.logs import NOTHING_KEPT, Logs, known_part
from darlr.experiments.progress import say
from darlr.experiments.world import fit_into, fit_model, load_world_model
from darlr.options import SplitConfig, WorldModelConfig
from darlr.policies.fixed import Random
from darlr.simulation.session import Session
from darlr.world.estimates import MOST, Dense, Estimate
from darlr.world.fitted import FittedWorldModel
from darlr.world.models.bias import bias_estimate
from darlr.world.views import Alike, Some, shown

FOLDER = "evaluation-world"
JUDGED = 10_000  # users of a large world on whom kept events measure
WORK = 5_000_000  # events that all epochs of an evaluation world model read at most in a large world, but one epoch
LARGE = WorldModelConfig(members=2, batch=4096)  # of that model, beside what suits the log
WARNING = (
    "no truth is known, so sessions are played on a world model of events that training never saw. Its rewards are "
    "predictions, which have the gaps and the exposure of the log. Rank policies with it only where its error on "
    "unseen events is good, and not in mode FB, where one wrong cell counts at every turn. Its values are not the "
    "rewards of real users"
)


@dataclass(frozen=True)
class Ground:
    """The rewards that sessions are played on, and what a report says about them.

    truth: of the users of the log. whole: of all users of the data set, new ones too, with their codes there.
    name: what its references are called. title: what pictures call it, where it is no truth. about: lines for the head
    of the report. trust: the quality of these rewards. kept: the events that training never saw, in their own unit,
    where there are any. sections: parts of the report on these events.
    """

    truth: Truth
    whole: Truth
    name: str = "truth"
    title: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    trust: Trust = field(default_factory=Trust)
    kept: InteractionLog | None = None


def find_ground(
    runs: Sequence[FinishedRun], learned: Sequence[Entry], truth: Truth | None, kept: Logs | None, out: Path | None
) -> Ground:
    """Return the truth, if given, else an evaluation world model of the kept events, written into `out` if given."""
    run = runs[0]
    if truth is not None:
        whole, truth = truth, known_part(truth, run.logs)
        for logs in {id(one.logs): one.logs for one in runs}.values():
            truth = truth.beside(logs.known)  # without the random feedback that is in the log of any run
        trust = Trust("Sessions were played on the data set's own truth.")
        if truth.notes:
            doubt = f"The truth that sessions were played on was not observed everywhere ({truth.notes[0]})"
            trust = Trust(f"{doubt}, so small differences between rows prove little.")
        if kept is None:
            return Ground(truth, whole, trust=trust)
        own, about = sections(run, learned, kept)[0], _drawn(kept.scope)
        return Ground(truth, whole, about=about, sections=own, trust=trust, kept=kept.recorded)
    assert kept is not None
    hidden, everyone = run.logs.hidden, kept
    if hidden is not None:
        assert run.logs.unseen_of_all is not None
        everyone = evaluation_logs(run.logs.unseen_of_all, run.logs)
    fitted = evaluation_world(run, everyone, out)
    fitted_on = f"fitted on {len(kept.whole):,} events that training never saw"
    about = {"played on": f"{EVALUATION_WORLD}, {fitted_on}", "warning": WARNING, **_drawn(kept.scope)}
    if is_large(kept.scope):
        epochs = f"fitted once in {fitted.config.epochs} epochs at most, as the world is large"
        about[EVALUATION_WORLD] = f"{fitted.model.members} members, {epochs}"
    whole = _played(shown(fitted.reward, kept.unit))
    if hidden is not None:
        fitted = replace(fitted, reward=Some(fitted.reward, torch.from_numpy(hidden.known)))
    predicted, users = shown(fitted.reward, kept.unit), judged(kept.scope)
    if len(users) < predicted.shape[0]:
        predicted = Some(predicted, torch.from_numpy(users))
    found = sections(run, learned, kept, fitted)
    return Ground(_played(predicted, users), whole, "evaluation model", EVALUATION_WORLD, about, *found, kept.recorded)


def _played(predicted: Estimate, users: IntArray | None = None) -> Truth:
    """Make a truth of predictions in the log's unit. users: the code of each row; None = its place."""
    rewards = predicted.table if isinstance(predicted, Dense) else predicted
    rows, items = predicted.shape
    return Truth(np.arange(rows) if users is None else users, np.arange(items), rewards)


def is_large(scope: Scope) -> bool:
    """Return whether kept events measure some of the users only, by a model of bounded work."""
    return len(scope.users) > JUDGED and len(scope.users) * len(scope.items) > MOST


def judged(scope: Scope) -> IntArray:
    """Return the users whom kept events measure, scope codes, rising: all, or JUDGED at random in a large world."""
    users = len(scope.users)
    if not is_large(scope):
        return np.arange(users)
    return np.sort(np.random.default_rng(0).choice(users, JUDGED, replace=False))


def _drawn(scope: Scope) -> dict[str, str]:
    """Say whose kept events measure, where it is not all users."""
    some, users = len(judged(scope)), len(scope.users)
    return {"kept events": f"those of {some:,} of {users:,} users, drawn at random"} if some < users else {}


def kept_by(runs: Sequence[FinishedRun], *, needed: bool) -> Logs | None:
    """Return the events that all of the runs kept from training; None where one kept none, or another share.

    needed: raise RunError in place of None. A run that kept another share has trained on what the others kept.
    """
    first = runs[0]
    for run in runs:
        share, wanted = run.logs.evaluation, first.logs.evaluation
        if not share and needed:
            raise RunError(NOTHING_KEPT.format(folder=run.name, data=run.config.data))
        if share != wanted and needed:
            raise RunError(
                f"{run.name}: trained with split.evaluation {share:g}, {first.name} with {wanted:g}: one has seen "
                "events that the other is evaluated on; evaluate them apart"
            )
        if not share or share != wanted:
            return None
    assert first.logs.kept is not None
    return evaluation_logs(first.logs.kept, first.logs)


def evaluation_logs(recorded: InteractionLog, logs: Logs) -> Logs:
    """Return events that training never saw, split for a world model of their own: nothing but evaluation reads them.

    recorded: the events, with rewards in their own unit, and with the ids of the run's logs `logs`, in whose unit the
    model learns. Where users have so few events that `split` can hold out none of theirs, a tenth of all is held out.
    """
    kept = as_learned(recorded, logs.unit)
    try:
        train, held_out = split(kept, SplitConfig())
    except DataError:
        held = np.random.default_rng(0).permutation(len(kept)) < len(kept) * SplitConfig.held_out
        train, held_out = select(kept, ~held), select(kept, held)
    return Logs(kept, train, held_out, logs.checksum, not is_large(logs.scope), recorded, logs.evaluation)


def evaluation_world(run: FinishedRun, kept: Logs, out: Path | None) -> FittedWorldModel:
    """Return a world model on the kept events: fitted into `out`, or what lies there already.

    It has default options. In a large world it has those of LARGE, reads about WORK events, and is fitted once. out:
    None = fitted in memory.
    """
    options, split_config = WorldModelConfig(), SplitConfig(evaluation=run.logs.evaluation)
    if is_large(kept.scope):
        options = replace(LARGE, epochs=min(LARGE.epochs, max(1, WORK // len(kept.train))))
    if out is not None:
        try:
            return load_world_model(out / FOLDER, kept, split_config)
        except RunError as error:  # not there, or of other data, or damaged
            if (out / FOLDER).exists():
                say(f"{error}")
    say(f"fitting the {EVALUATION_WORLD} on events that training never saw")
    return fit_model(kept, options) if out is None else fit_into(out / FOLDER, kept, split_config, options)


EVALUATION_WORLD = "evaluation world model"
FEW = 30  # users with a last event, below which all kept events are the test


def sections(
    run: FinishedRun, learned: Sequence[Entry], kept: Logs, fitted: FittedWorldModel | None = None
) -> tuple[list[Section], Trust]:
    """Return errors on unseen events, off-policy values where propensities are logged, and a sentence on their quality.

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
        log = select(log, np.isin(log.user, judged(kept.scope)))
        found.append(_off_policy(log, learned, shown(run.world.reward, run.logs.unit)))
    if reasons or len(measured) < len(known):
        doubt = f"The {EVALUATION_WORLD} fails its test ({'; '.join(reasons) or 'no unseen event could test it'})"
        return found, Trust(f"{doubt}, so the order of these rows means nothing.", believable=False)
    passed = f"The {EVALUATION_WORLD} passes its test, so it can rank policies"
    return found, Trust(f"{passed}; its values are its predictions.")


def _known(name: str, reward: Estimate, own: Logs, other: Logs, *, trained: bool = True) -> Known | None:
    """Measure a model of `own` events on the `other` ones, in the log's unit; None where no cell is new."""
    users = judged(own.scope)
    scope = replace(own.scope, users=own.scope.users[users])
    seen, unseen = (within_scope(log, scope) for log in (own.fitted, other.recorded))
    of, known = (log.user * log.n_items + log.item for log in (unseen, seen))
    unseen = select(unseen, ~np.isin(of, known))
    if not len(unseen):
        return None
    if own.catalogue.implicit:
        baseline: str = "popularity list"
        simple: Estimate = Alike(popularity(own.catalogue), len(users))
    else:
        baseline, simple = "bias model", bias_estimate(own.train, own.held_out, own.fitted, scope)
    reward = reward if len(users) == reward.shape[0] else Some(reward, torch.from_numpy(users))
    compared = [shown(rewards, own.unit) for rewards in (reward, simple)]
    own_sums, simple_sums = (held_out_sums(rewards, unseen, seen, own.unit.low) for rewards in compared)
    return Known(name, baseline, len(unseen), own_sums, simple_sums, trained)


def _off_policy(log: InteractionLog, learned: Sequence[Entry], reward: Estimate) -> Section:
    """Return every policy on the kept events, and uniform choices."""
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
        """Return uniform numbers, float32 [B, I]."""
        shape = len(session.user), session.n_items
        return torch.rand(shape, generator=torch.Generator().manual_seed(int(session.user[0])))


def next_items(entries: Sequence[Entry], logs: Logs, kept: InteractionLog, *, usual: bool = True) -> list[Section]:
    """Return the section of a report, or none where no user has a relevant test item.

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
    """Return the test events, and a sentence on them: each user's last ones where the log has times."""
    test, training = within_scope(kept, logs.scope), within_scope(logs.recorded, logs.scope)
    if len(users := judged(logs.scope)) < len(logs.scope.users):
        test = select(test, np.isin(test.user, users))
    what = "drawn at random from each user's events"
    if test.timestamp is not None and training.timestamp is not None:
        last = last_events(test, training)
        if len(set(test.user[last].tolist())) >= FEW or last.all():
            test, what = select(test, last), "those that are later than all of the user's training events"
        else:
            what += f", as fewer than {FEW} users have one that is later than all of their training events"
    found = unseen_items(test, training)
    return found, f"The test events are {what}: {len(found.user):,} items of {len(found.users):,} users."
