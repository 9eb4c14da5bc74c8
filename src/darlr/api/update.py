"""New events for a trained recommender: `update` and `check`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from darlr.api.recommender import Recommender
from darlr.data.log import InteractionLog
from darlr.errors import RunError
from darlr.experiments.alarms import Drift, check_against
from darlr.experiments.growth import grow
from darlr.experiments.process import computing
from darlr.experiments.progress import speaking
from darlr.experiments.update import announced, refuse_update, source_of, update_in_memory, update_run
from darlr.options import UpdateConfig
from darlr.options.checks import find_named


def update(
    model: Recommender,
    new: InteractionLog,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    **options: Any,
) -> Recommender:
    """Go on from a trained recommender with new events. Returns another one; the given one does not change.

    new: later events, from `darlr.read_events` with the same columns. Those that the log holds already are left out.
    folder: the run folder to write, as `darlr update --out` does, for a recommender that lies in a folder itself;
    without it nothing is written. resume: continue an update in the folder. progress: show the progress. options: those
    of `UpdateConfig`, such as epochs=2. `gate` of the result says how it compares with the given one on the newest
    events: serve it where `gate.promoted` is true. Raises DataError for events that do not fit the log, ConfigError for
    an unknown option and for a model that cannot go on, and RunError for an unusable folder.
    """
    known = {option.name: option for option in fields(UpdateConfig)}
    for name in options:
        find_named(name, known, name, "option of an update")
    config, run = UpdateConfig(**options), model.run
    refuse_update(run)
    if folder is not None and run.folder is None:
        raise RunError("the recommender lies in no folder; save it first, and update what darlr.load returns")
    with computing(run.config.train.threads), speaking(progress):
        growth = grow(*_events(model), new, config.gate)
        announced(growth)
        if folder is None:
            found = update_in_memory(run, growth, config)
        else:
            found = update_run(run, growth, Path(folder), config, resume=resume)
    child = Recommender.__new__(Recommender)
    child._begin(found.run.config)
    child._hand_over(found.run)
    child._source, child._held, child.gate = growth.log, growth.gate, found.gate
    return child


def check(model: Recommender, new: InteractionLog) -> Drift:
    """Compare newer events with those that a recommender was made for.

    Print the result to read it. `alarm` says whether something calls for action, and `findings` what. Raises DataError
    for events that do not fit the log of the recommender, and where none is new to it.
    """
    return check_against(model.run, *_events(model), new)


def _events(model: Recommender) -> tuple[InteractionLog, InteractionLog | None]:
    """The log that the recommender learned from, and the events that its own update left out."""
    if model._source is not None:
        return model._source, model._held
    return source_of(model.run)
