"""What the sessions of an evaluation are played on: the truth, or a world model of events that training never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from darlr.data.log import InteractionLog
from darlr.data.split import select, split
from darlr.data.unit import as_learned
from darlr.errors import DataError, RunError
from darlr.evaluation.lists import Entry
from darlr.evaluation.report import Section
from darlr.evaluation.truth import Truth, whole
from darlr.evaluation.verdict import Trust
from darlr.experiments.finished import FinishedRun
from darlr.experiments.logs import NOTHING_KEPT, Logs
from darlr.experiments.progress import say
from darlr.experiments.unseen import EVALUATION_WORLD, sections
from darlr.experiments.world import fit_into, fit_model, load_world_model
from darlr.options import SplitConfig, WorldModelConfig
from darlr.world.fitted import FittedWorldModel

FOLDER = "evaluation-world"
REFERENCE = "evaluation model"
WARNING = (
    "no truth is known, so sessions are played on a world model of events that training never saw. It rewards what "
    "this log's models believe, with the log's gaps and exposure in it. Rank policies with it only where its error on "
    "unseen events is good, not in mode FB, where one wrong cell counts at every turn, and take no value as what users "
    "would give"
)


@dataclass(frozen=True)
class Ground:
    """The rewards that sessions are played on, and what a report says about them.

    name: what its references are called. title: what pictures call it, where it is no truth. about: lines for the head
    of the report. trust: the quality of these rewards. kept: the events that training never saw, in their own unit,
    where there are any. sections: parts of the report on these events.
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
    """The truth, where one is given, else an evaluation world model of the kept events, written into `out` if given."""
    run = runs[0]
    if truth is not None:
        for logs in {id(one.logs): one.logs for one in runs}.values():
            truth = truth.beside(logs.known)  # without the random feedback that any of the runs may know by heart
        trust = Trust("Sessions were played on the data set's own truth.")
        if truth.notes:
            doubt = f"The truth that sessions were played on was not observed everywhere ({truth.notes[0]})"
            trust = Trust(f"{doubt}, so small differences between rows prove little.")
        if kept is None:
            return Ground(truth, trust=trust)
        return Ground(truth, sections=sections(run, learned, kept)[0], trust=trust, kept=kept.recorded)
    assert kept is not None
    fitted = evaluation_world(run, kept, out)
    fitted_on = f"fitted on {len(kept.whole):,} events that training never saw"
    about = {"played on": f"{EVALUATION_WORLD}, {fitted_on}", "warning": WARNING}
    believed = whole(kept.unit.show(fitted.reward))  # the model's rewards, in the log's unit
    return Ground(believed, REFERENCE, EVALUATION_WORLD, about, *sections(run, learned, kept, fitted), kept.recorded)


def kept_by(runs: Sequence[FinishedRun], *, needed: bool) -> Logs | None:
    """The events that all of the runs kept from training; None where one kept none, or another share.

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
