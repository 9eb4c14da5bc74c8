"""What a run says about leaving before it trains, and the hazard that it keeps in its folder."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from darlr.data.sessions import doubt
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
    if "learned" in (session.exit, session.fatigue) and (doubted := doubt(logs.catalogue, session.gap)):
        notes.append(f"warning: {doubted} (option session.gap); leave it out, or choose another")
    if session.exit == "learned":
        notes.append(learned_of(logs.catalogue, session.gap, session.turns).describe())
    if session.fatigue == "learned":
        notes.append(kept_fit(fit_fatigue, logs.catalogue, session.gap).describe())
    if doubted := useless_threshold(session, logs):
        notes.append(f"warning: {doubted}")
    return notes


def useless_threshold(session: SessionConfig, logs: Logs) -> str:
    """What is wrong where a felt exit rule separates no logged rewards; else empty."""
    if session.exit != "felt" or not len(logs.recorded):
        return ""
    rewards, threshold = logs.recorded.reward, f"session.threshold ({session.threshold:g})"
    bad = rewards < np.float32(session.threshold)
    if bad.any() and not bad.all():
        return ""
    count = "the first item" if session.patience == 1 else f"{session.patience} items"
    if bad.all():
        return f"all logged rewards lie below {threshold}, so that sessions can end after {count}; choose a lower one"
    if logs.recorded.implicit:
        return (
            f"all logged rewards are {rewards[0]:g}, so that predictions are chances of one. Most of them lie below "
            f"{threshold}, and sessions then end after {count}; choose another rule (option session.exit), or a "
            "threshold of the size of such chances"
        )
    return (
        f"no logged reward lies below {threshold}, so that the log shows nothing that disappoints. Where unlogged "
        f"items count as 0, most of them do, and sessions end after {count}"
    )


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
