"""What evaluation does with events that training never saw: a world model of theirs, errors, off-policy values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import within_scope
from darlr.data.split import select, split
from darlr.data.unit import Unit, as_learned
from darlr.errors import DataError, RunError
from darlr.evaluation.held_out import held_out_sums
from darlr.evaluation.lists import Entry, popularity
from darlr.evaluation.off_policy import bandit_of, mean_reward, off_policy
from darlr.evaluation.report import Section
from darlr.evaluation.sections import Known, failures, held_out_section, off_policy_section
from darlr.evaluation.truth import Truth, whole
from darlr.evaluation.verdict import Trust
from darlr.experiments.finished import FinishedRun
from darlr.experiments.logs import NOTHING_KEPT, Logs
from darlr.experiments.progress import say
from darlr.experiments.world import fit_into, fit_model, load_world_model
from darlr.options import SplitConfig, WorldModelConfig
from darlr.policies.fixed import Random
from darlr.world.fitted import FittedWorldModel
from darlr.world.models.bias import bias_table

FOLDER = "evaluation-world"
EVALUATION_WORLD, REFERENCE = "evaluation world model", "evaluation model"
WARNING = (
    "no truth is known, so sessions are played on a world model of events that training never saw. It rewards what "
    "this log's models believe, with the log's gaps and exposure in it. Rank policies with it only where its error on "
    "unseen events is good, not in mode FB, where one wrong cell counts at every turn, and take no value as what users "
    "would give"
)


@dataclass(frozen=True)
class Ground:
    """What sessions are played on, and what else a report says of it.

    name: what its references are called. title: what pictures call it, where it is no truth. about: lines for the head
    of the report. trust: how far what is played on can be believed. kept: the events that training never saw, in their
    own unit, where there are any.
    """

    truth: Truth
    name: str = "truth"
    title: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    trust: Trust = field(default_factory=Trust)
    kept: InteractionLog | None = None


def find_ground(
    runs: Sequence[FinishedRun], learned: Sequence[Entry], truth: Truth | None, kept: Logs | None, out: Path | None
) -> Ground:
    """The truth, where one is given, else an evaluation world model of the kept events, written into `out` if given.

    Where there are kept events there are also sections on them: `sections`.
    """
    run = runs[0]
    if truth is not None:
        found = sections(run, learned, kept, None)[0] if kept is not None else []
        recorded = None if kept is None else kept.recorded
        return Ground(beside_logs(truth, runs), sections=found, trust=trust_in(truth), kept=recorded)
    assert kept is not None
    fitted = evaluation_world(run, kept, out)
    about = {
        "played on": f"{EVALUATION_WORLD}, fitted on {len(kept.whole):,} events that training never saw",
        "warning": WARNING,
    }
    found, trust = sections(run, learned, kept, fitted)
    return Ground(believed(fitted, kept.unit), REFERENCE, EVALUATION_WORLD, about, found, trust, kept.recorded)


def kept_by(runs: Sequence[FinishedRun]) -> Logs | None:
    """The events that all of the runs kept from training; None where one kept none, or another share."""
    first = runs[0].logs
    if not all(one.logs.evaluation == first.evaluation > 0 for one in runs):
        return None
    assert first.kept is not None
    return evaluation_logs(first.kept, first)


def trust_in(truth: Truth) -> Trust:
    """How far a truth can be believed."""
    if not truth.notes:
        return Trust("Sessions were played on the data set's own truth.")
    doubt = f"The truth that sessions were played on was not observed everywhere ({truth.notes[0]})"
    return Trust(f"{doubt}, so small differences between rows prove little.")


def beside_logs(truth: Truth, runs: Sequence[FinishedRun]) -> Truth:
    """The truth without the random feedback that any of the runs may know by heart."""
    for logs in {id(one.logs): one.logs for one in runs}.values():
        truth = truth.beside(logs.known)
    return truth


def evaluation_logs(recorded: InteractionLog, logs: Logs) -> Logs:
    """Events that training never saw, split for a world model of their own: nothing but evaluation reads them.

    recorded: the events, with rewards in their own unit, and with the ids of the run's logs `logs`, in whose unit the
    model learns. Where users have so few events that `split` can hold out none of theirs, a tenth of all is held out.
    """
    kept = as_learned(recorded, logs.unit)
    try:
        train, held_out = split(kept, SplitConfig())
    except DataError:
        held = np.random.default_rng(0).permutation(len(kept)) < len(kept) * SplitConfig.held_out
        train, held_out = select(kept, ~held), select(kept, held)
    return Logs(kept, train, held_out, logs.checksum, True, recorded, logs.evaluation)


def refuse_without_kept_events(runs: Sequence[FinishedRun]) -> None:
    """Raise RunError when a run kept no events, or runs kept different ones: one has then trained on the other's."""
    first = runs[0]
    for run in runs:
        if not run.logs.evaluation:
            raise RunError(NOTHING_KEPT.format(folder=run.name, data=run.config.data))
        if run.logs.evaluation != first.logs.evaluation:
            raise RunError(
                f"{run.name}: trained with split.evaluation {run.logs.evaluation:g}, {first.name} with "
                f"{first.logs.evaluation:g}: one has seen events that the other is evaluated on; evaluate them apart"
            )


def evaluation_world(run: FinishedRun, kept: Logs, out: Path | None) -> FittedWorldModel:
    """A world model of default options on the kept events: fitted into `out`, or what lies there already.

    out: None = fitted in memory.
    """
    message = f"fitting the {EVALUATION_WORLD} on events that training never saw"
    if out is None:
        say(message)
        return fit_model(kept, WorldModelConfig())
    split = SplitConfig(evaluation=run.logs.evaluation)
    try:
        return load_world_model(out / FOLDER, kept, split)
    except RunError as error:  # not there, or of other data, or damaged
        if (out / FOLDER).exists():
            say(f"{error}")
        say(message)
        return fit_into(out / FOLDER, kept, split, WorldModelConfig())


def believed(fitted: FittedWorldModel, unit: Unit) -> Truth:
    """The model's rewards, in the log's unit, in the truth's place."""
    return whole(unit.show(fitted.reward.whole()))


def sections(
    run: FinishedRun, learned: Sequence[Entry], kept: Logs, fitted: FittedWorldModel | None
) -> tuple[list[Section], Trust]:
    """Errors on unseen events, off-policy values where propensities are logged, and what the evaluation is worth.

    learned: the policies. run: whose world model is measured, and expects rewards for DM and DR. fitted: the evaluation
    world model, where sessions are played on one.
    """
    known = [_known("world model of the run", run.world.reward.whole(), run.logs, kept)]
    if fitted is not None:
        known.append(_known(EVALUATION_WORLD, fitted.reward.whole(), kept, run.logs, trained=fitted.trained))
    measured = [one for one in known if one is not None]
    reasons = [reason for one in measured if one.model == EVALUATION_WORLD for reason in failures(one)]
    found = [held_out_section(measured, EVALUATION_WORLD)] if measured else []
    log = within_scope(kept.recorded, kept.scope)
    if log.propensity is not None and len(log):
        found.append(_off_policy(log, learned, run.logs.unit.show(run.world.reward.whole())))
    if reasons or len(measured) < len(known):
        doubt = f"The {EVALUATION_WORLD} fails its test ({'; '.join(reasons) or 'no unseen event could test it'})"
        return found, Trust(f"{doubt}, so the order of these rows means nothing.", believable=False)
    return found, Trust(
        f"The {EVALUATION_WORLD} passes its test, so it can rank policies; its values are what it believes."
    )


def _known(name: str, table: Tensor, own: Logs, other: Logs, *, trained: bool = True) -> Known | None:
    """What a model of `own` events knows of the `other` ones, in the log's unit; None without any in new cells."""
    seen, unseen = (within_scope(log, own.scope) for log in (own.fitted, other.recorded))
    of, known = (log.user * log.n_items + log.item for log in (unseen, seen))
    unseen = select(unseen, ~np.isin(of, known))
    if not len(unseen):
        return None
    baseline = "popularity list" if own.catalogue.implicit else "bias model"
    if own.catalogue.implicit:
        simple = popularity(own.catalogue).expand(len(table), -1)
    else:
        simple = bias_table(own.train, own.held_out, own.fitted, own.scope)
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
