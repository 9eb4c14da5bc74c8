"""A cell: one row's work for one seed and exit window, addressed by everything that its numbers depend on.

<cells>/<key>-<code>/       key: hash of the identity; code: digest of the source
  cell.json                 identity, options, command
  run/ or world/            what was trained, resumable while it is unfinished
  result.safetensors        sessions and metrics of every setting; written last, at once
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from darlr.errors import RunError
from darlr.experiments.provenance import commit
from darlr.experiments.study.code import Kind, digest
from darlr.io.checkpoint import read_checkpoint
from darlr.io.files import atomic_write_text, naming, read_json
from darlr.options import RunConfig
from darlr.options.json import differences, from_json, to_json

CELL, RESULT, STATUS, LOG = "cell.json", "result.safetensors", "status.json", "log.txt"
SCHEMA = 1
STARTED = "start"  # a learned cell's entry for its policy before training
TOLD = "|random"  # ends the name of what users said of random items
ANY = "any"


@dataclass(frozen=True)
class Cell:
    """What to run. config: with exit rule resolved, and no label or world folder.

    name: method, baseline, "trivial" or "world". windows: exit windows N it is played under, empty where no exit can
    happen. data, truth: checksums of the log and of the truth. world: the cell of its world model, if it needs one.
    """

    kind: Kind
    name: str
    config: RunConfig
    seed: int
    windows: tuple[int, ...]
    data: str
    truth: str
    world: "Cell | None" = None
    code: str = field(default="", compare=False)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the numbers depend on, besides the code: JSON values."""
        config = to_json(self.config)
        for name in ("data", "synthetic", "label", "world"):  # the checksums say what these would
            del config[name]
        train = config["train"]
        if self.kind == "world":
            config = {name: config[name] for name in ("split", "world_model")}
        elif self.kind != "learned":
            config["train"] = {name: train[name] for name in ("seed", "session", "tables")}
        played = {} if self.kind == "world" else {"truth": self.truth, "windows": list(self.windows)}
        return {"kind": self.kind, "name": self.name, "data": self.data, "config": config, **played}

    @cached_property
    def key(self) -> str:
        """16 hex digits of the identity."""
        return sha256(json.dumps(self.identity, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]

    @property
    def digest(self) -> str:
        """Digest of the source that this cell's numbers depend on."""
        return self.code or digest(self.kind)

    @property
    def folder(self) -> str:
        """Its folder's name."""
        return f"{self.key}-{self.digest[:8]}"

    def write(self, cells: Path) -> Path:
        """Make the cell's folder, with its description in it."""
        place = cells / self.folder
        with naming(place):
            place.mkdir(parents=True, exist_ok=True)
        content = {
            "schema": SCHEMA,
            "identity": self.identity,
            "code": self.digest,
            "git": commit(),
            "seed": self.seed,
            "config": to_json(self.config),
            "world": None if self.world is None else self.world.folder,
        }
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        if not (place / CELL).exists() or (place / CELL).read_text(encoding="utf-8") != text:
            atomic_write_text(place / CELL, text)
        return place


@dataclass(frozen=True)
class Result:
    """What a finished cell left. returns: "entry|mode|window" -> float64 [users], and with TOLD behind it [users, 3];
    about: everything else, JSON."""

    folder: Path
    returns: Mapping[str, Any]
    about: Mapping[str, Any]


def read_cell(place: Path) -> dict[str, Any]:
    """The content of a cell's cell.json; RunError when it is missing or damaged."""
    remedy = f"delete the folder {place}, a cell, and run the comparison again"
    try:
        content: dict[str, Any] = read_json(place / CELL, remedy)
    except FileNotFoundError as error:
        raise RunError(f"{place / CELL}: is missing; {remedy}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise RunError(f"{place / CELL}: damaged, or of another version of darlr; {remedy}")
    return content


def cell_config(content: Mapping[str, Any], source: str) -> RunConfig:
    """The options in a cell.json."""
    return from_json(RunConfig, content["config"], source)


def find(cell: Cell, cells: Path, accepted: Collection[str] = ()) -> Path | None:
    """The folder of the finished cell: of today's code, else the newest of an accepted digest; None to run it."""
    place = cells / cell.folder
    if (place / RESULT).exists():
        return place
    if not accepted:
        return None
    found = [
        path.parent
        for path in sorted(cells.glob(f"*/{RESULT}"), key=lambda path: -path.stat().st_mtime)
        if _fits(cell, path.parent, accepted)
    ]
    return found[0] if found else None


def _fits(cell: Cell, place: Path, accepted: Collection[str]) -> bool:
    content = read_cell(place)
    if ANY not in accepted and not any(content["code"].startswith(code) for code in accepted):
        return False
    # An option that the older code did not have counts as equal while it is at its default.
    usual = differences({}, to_json(RunConfig()))
    changed = differences(content["identity"], cell.identity)
    return all(
        name.startswith("config.") and old is None and new == usual.get(name.removeprefix("config."), (None, None))[1]
        for name, (old, new) in changed.items()
    )


def read_result(place: Path) -> Result:
    """The result of a finished cell; RunError when it is damaged."""
    tensors, about = read_checkpoint(place / RESULT, f"delete the folder {place}, a cell, and run the comparison again")
    return Result(place, {name: tensor.double().numpy() for name, tensor in tensors.items()}, about)
