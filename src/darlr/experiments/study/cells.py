"""A cell: one row of a table for one seed and exit window. Its address is all that its numbers depend on.

<cells>/<key>-<code>/       key: hash of the identity; code: digest of the source
  cell.json                 identity and options
  run/ or world/            what was trained; it can be resumed while it is unfinished
  result.safetensors        returns and metrics of every setting; written last, at once
"""

import ast
import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from darlr.errors import RunError
from darlr.experiments.process import commit
from darlr.io.checkpoint import read_checkpoint
from darlr.io.files import naming, read_json, write_json
from darlr.io.folders import adding_folder
from darlr.options import RunConfig
from darlr.options.json import differences, to_json

CELL, RESULT, STATUS, LOG = "cell.json", "result.safetensors", "status.json", "log.txt"
SCHEMA = 1
STARTED = "start"  # entry of a learned cell for its policy before training
RANDOM_FEEDBACK = "|random"  # ends the name of the tallies of feedback on random items
ANY = "any"
REMEDY = "delete the folder {}, a cell, and run the comparison again"
Kind = Literal["world", "learned", "baseline", "trivial", "trial"]
PACKAGE = Path(__file__).parents[2]


def _within(room: str, names: str) -> tuple[str, ...]:
    """Return the paths of the files and folders of a room that these words name."""
    return tuple(f"{room}/{name}" for name in names.split())


# Files and folders whose source changes no number of a cell. The values of the options are in its address.
NEUTRAL = (
    *("__init__.py", "__main__.py", "errors.py", "api/", "cli/", "data/report.py", "options/", "serving/"),
    *_within("evaluation", "held_out.py next_items.py off_policy.py pictures/ report.py result.py sections.py"),
    *_within("evaluation", "statistics.py verdict.py"),
    *_within("experiments", "evaluate.py process.py progress.py study/ unseen.py workers.py"),
)
WORKER = "experiments/study/worker.py"  # it makes the numbers of a cell, so it is not neutral
MAKERS = (WORKER, "serving/folder.py", "serving/newcomers.py")  # likewise; the latter two serve new users
_AGENTS = ("agents/", "methods/", "evaluation/estimation.py", "experiments/finished.py", "experiments/training.py")
# Files and folders that a kind of cell does not use.
UNTOUCHED: dict[Kind, tuple[str, ...]] = {
    "world": (*_AGENTS, "evaluation/", "policies/", "simulation/", WORKER),
    "learned": ("evaluation/lists.py", "policies/"),
    "baseline": (*_AGENTS, "evaluation/lists.py"),
    "trivial": (*_AGENTS, "policies/"),
    "trial": ("evaluation/lists.py", "policies/"),
}
# Neutral files whose source changes the numbers of a kind of cell after all.
MEASURES: dict[Kind, tuple[str, ...]] = {
    "trial": ("evaluation/held_out.py", "evaluation/next_items.py", "experiments/study/trial.py"),
}


def snapshot(cells: Path, package: Path = PACKAGE) -> Path:
    """Copy the source beside the cells for the workers, as it may be edited while they run. Returns the import path."""
    files = sorted(package.rglob("*.py"))
    whole = sha256(b"".join(path.relative_to(package).as_posix().encode() + path.read_bytes() for path in files))
    place = cells / "source" / whole.hexdigest()[:12]
    if not place.exists():
        with adding_folder(place) as draft:
            for path in files:
                target = draft / package.name / path.relative_to(package)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    return place


@cache
def digest(kind: Kind, package: Path = PACKAGE) -> str:
    """Hash the files that a kind of cell depends on, without comments, docstrings and layout, as 12 hex digits."""
    total = sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        makes = name in MAKERS or name in MEASURES.get(kind, ())
        if (makes or not name.startswith(NEUTRAL)) and not name.startswith(UNTOUCHED[kind]):
            total.update(name.encode() + b"\0")
            total.update(_meaning(path.read_text(encoding="utf-8")).encode() + b"\0")
    return total.hexdigest()[:12]


@cache
def _meaning(source: str) -> str:
    """Return the source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            # Any bare string is a docstring: of a module, class, function or field.
            texts = [line for line in node.body if isinstance(getattr(getattr(line, "value", 0), "value", 0), str)]
            node.body = [line for line in node.body if line not in texts or not isinstance(line, ast.Expr)]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]
    return ast.unparse(tree)


@dataclass(frozen=True)
class Cell:
    """One row of a table for one seed, under one exit window or all of them.

    config: the options, with the exit rule resolved and without a label or the folder of a world model. name: method,
    baseline, "trivial", "world", or the objective of a trial. windows: exit windows N that are evaluated, empty where
    no user can leave. data, truth: checksums of the log and of the truth. world: the cell of its world model, if it
    needs one.
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
        """All that the numbers depend on besides the code, as JSON values."""
        config = to_json(self.config)
        for name in ("data", "synthetic", "label", "world"):  # the checksums stand for these
            del config[name]
        train = config["train"]
        if "world" in (self.kind, self.name):
            config = {name: config[name] for name in ("split", "world_model")}
        elif self.kind not in ("learned", "trial"):
            config["train"] = {name: train[name] for name in ("seed", "session", "tables")}
        played = {} if self.kind in ("world", "trial") else {"truth": self.truth, "windows": list(self.windows)}
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
    """The result of a finished cell.

    returns: "entry|mode|window" -> returns, float64 [users]; with RANDOM_FEEDBACK behind the name the tallies, float64
    [users, 3]. about: everything else, as JSON values.
    """

    folder: Path
    returns: Mapping[str, Any]
    about: Mapping[str, Any]


def read_cell(place: Path) -> dict[str, Any]:
    """Return the content of the cell.json of a cell; RunError when it is missing or damaged."""
    try:
        content: dict[str, Any] = read_json(place / CELL, REMEDY.format(place), schema=SCHEMA)
    except FileNotFoundError as error:
        raise RunError(f"{place / CELL}: is missing; {REMEDY.format(place)}") from error
    return content


def find(cell: Cell, cells: Path, accepted: Collection[str] = ()) -> Path | None:
    """Find the folder of the finished cell, of this code or else the newest of accepted code; None without one."""
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
    usual = {f"config.{name}": value for name, (_, value) in differences({}, to_json(RunConfig())).items()}
    changed = differences(content["identity"], cell.identity)
    return all(old is None and name in usual and new == usual[name] for name, (old, new) in changed.items())


def read_result(place: Path) -> Result:
    """Return the result of a finished cell; RunError when it is damaged."""
    tensors, about = read_checkpoint(place / RESULT, REMEDY.format(place))
    return Result(place, {name: tensor.double().numpy() for name, tensor in tensors.items()}, about)
