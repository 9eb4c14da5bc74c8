"""What a run says about leaving before it trains, and the hazard that it keeps in its folder."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from darlr.experiments.logs import Logs
from darlr.io.files import write_json
from darlr.options import SessionConfig
from darlr.simulation.hazard import NAMES
from darlr.simulation.leaving import kept_fit, learned_of
from darlr.simulation.tiring import fit_fatigue

FILE = "leaving.json"


def leaving_notes(session: SessionConfig, logs: Logs) -> list[str]:
    """Sentences on the rule by which users leave: what the log taught, and thresholds that separate no rewards."""
    notes = []
    if session.exit == "learned":
        notes.append(learned_of(logs.catalogue, session.gap, session.turns).describe())
    if session.fatigue == "learned":
        notes.append(kept_fit(fit_fatigue, logs.catalogue, session.gap).describe())
    return notes + _thresholds(session, logs)


def _thresholds(session: SessionConfig, logs: Logs) -> list[str]:
    """A warning where a felt exit rule separates no logged rewards."""
    if session.exit != "felt" or not len(logs.recorded):
        return []
    bad = logs.recorded.reward < np.float32(session.threshold)
    if bad.any() and not bad.all():
        return []
    count = "its first item" if session.patience == 1 else f"{session.patience} items"
    if bad.all():
        return [
            f"warning: all logged rewards lie below session.threshold ({session.threshold:g}), so that sessions can "
            f"end after {count}; choose a lower one"
        ]
    return [
        f"warning: no logged reward lies below session.threshold ({session.threshold:g}), so that the log shows "
        f"nothing that disappoints. Where unlogged items count as 0, most of them do, and sessions end after {count}"
    ]


def write_leaving(folder: Path, session: SessionConfig, logs: Logs) -> None:
    """Write the learned hazard and its judgement into a run folder; nothing with another exit rule."""
    if session.exit != "learned":
        return
    found = learned_of(logs.catalogue, session.gap, session.turns)
    hazard = found.hazard
    threshold = float(logs.unit.show(hazard.threshold)) if np.isfinite(hazard.threshold) else None
    content = {
        "weights": dict(zip(NAMES, hazard.weights.tolist(), strict=True)),
        "threshold": threshold,
        "recovery": hazard.recovery,
        "sessions": found.sessions,
        "gap": found.gap,
        "gain": found.gain,
        "interval": [low if np.isfinite(low) else None for low in found.interval],
        "kept": found.kept,
        "random": None if found.random is None else asdict(found.random),
    }
    write_json(folder / FILE, content)
