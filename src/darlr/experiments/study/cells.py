"""A cell: one row of a table for one seed and exit window. Its address is all that its numbers depend on.

<cells>/<key>-<code>/       key: hash of the identity; code: digest of the source
  cell.json                 identity and options
  run/ or world/            what was trained; it can be resumed while it is unfinished
  result.safetensors        returns and metrics of every setting; written last, at once
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from darlr.errors import RunError
from darlr.experiments.process import commit
from darlr.experiments.study.code import Kind, digest
from darlr.io.checkpoint import read_checkpoint
from darlr.io.files import naming, read_json, write_json
from darlr.options import RunConfig
from darlr.options.json import differences, to_json

CELL, RESULT, STATUS, LOG = "cell.json", "result.safetensors", "status.json", "log.txt"
SCHEMA = 1
STARTED = "start"  # entry of a learned cell for its policy before training
RANDOM_FEEDBACK = "|random"  # ends the name of the tallies of feedback on random items
ANY = "any"


@dataclass(frozen=True)
class Cell:
    """What to run.

    config: the options, with the exit rule resolved and without a label or the folder of a world model. name: method,
    baseline, "trivial" or "world". windows: exit windows N that are evaluated, empty where no user can leave. data,
    truth: checksums of the log and of the truth. world: the cell of its world model, if it needs one.
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
        """What the numbers depend on besides the code, as JSON values."""
        config = to_json(self.config)
        for name in ("data", "synthetic", "label", "world"):  # the checksums stand for these
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
        """16 hex digits that hash the identity."""
        return sha256(json.dumps(self.identity, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]

    @property
    def digest(self) -> str:
        """Digest of the source that the numbers of this cell depend on."""
        return self.code or digest(self.kind)

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.key}-{self.digest[:8]}"

    def write(self, cells: Path) -> Path:
        """Make the folder of the cell and write its description into it."""
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
        write_json(place / CELL, content)
        return place


@dataclass(frozen=True)
class Result:
    """What a finished cell left.

    returns: "entry|mode|window" -> returns, float64 [users]; with RANDOM_FEEDBACK behind the name the tallies, float64
    [users, 3]. about: everything else, as JSON values.
    """

    folder: Path
    returns: Mapping[str, Any]
    about: Mapping[str, Any]


def read_cell(place: Path) -> dict[str, Any]:
    """The content of the cell.json of a cell; RunError when it is missing or damaged."""
    try:
        content: dict[str, Any] = read_json(place / CELL, _remedy(place), schema=SCHEMA)
    except FileNotFoundError as error:
        raise RunError(f"{place / CELL}: is missing; {_remedy(place)}") from error
    return content


def _remedy(place: Path) -> str:
    return f"delete the folder {place}, a cell, and run the comparison again"


def find(cell: Cell, cells: Path, accepted: Collection[str] = ()) -> Path | None:
    """The folder of the finished cell, by this code or else the newest by accepted code; None where it must run."""
    place = cells / cell.folder
    if (place / RESULT).exists():
        return place
    results = sorted(cells.glob(f"*/{RESULT}"), key=lambda path: -path.stat().st_mtime) if accepted else []
    return next((path.parent for path in results if _fits(cell, path.parent, accepted)), None)


def _fits(cell: Cell, place: Path, accepted: Collection[str]) -> bool:
    content = read_cell(place)
    if ANY not in accepted and not any(content["code"].startswith(code) for code in accepted):
        return False
    # An option that the older code lacked counts as equal while it has its default.
    usual = differences({}, to_json(RunConfig()))
    changed = differences(content["identity"], cell.identity)
    return all(
        name.startswith("config.") and old is None and new == usual.get(name.removeprefix("config."), (None, None))[1]
        for name, (old, new) in changed.items()
    )


def read_result(place: Path) -> Result:
    """The result of a finished cell; RunError when it is damaged."""
    tensors, about = read_checkpoint(place / RESULT, _remedy(place))
    return Result(place, {name: tensor.double().numpy() for name, tensor in tensors.items()}, about)
