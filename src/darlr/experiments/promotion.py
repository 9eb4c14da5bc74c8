"""The record that an update leaves in its folder: what it came from, and what its gate found."""

from pathlib import Path
from typing import Any

from darlr.errors import RunError
from darlr.experiments.runs import CONFIG, read_inputs
from darlr.io.files import read_json

UPDATE = "update.json"  # the last file that an update writes
SCHEMA = 1
REMEDY = "update the run again"


def read_update(folder: Path) -> dict[str, Any] | None:
    """Return the record of an update; None for a run that is no update.

    Raises RunError where the update did not end, or its record is damaged.
    """
    if (folder / UPDATE).is_file():
        found: dict[str, Any] = read_json(folder / UPDATE, REMEDY, schema=SCHEMA)
        return found
    if (folder / CONFIG).is_file() and "update" in read_inputs(folder):
        raise RunError(f"{folder}: an update that did not end; continue it with `darlr update ... --resume`")
    return None


def promoted(folder: Path) -> bool | None:
    """Return whether the gate of an update passed; None for a run that is no update. Raises RunError likewise."""
    found = read_update(folder)
    return None if found is None else bool(found["gate"]["promoted"])
