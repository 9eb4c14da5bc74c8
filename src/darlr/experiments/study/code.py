"""A digest of the source that a result depends on: cells of other code are reused only where this is asked for."""

import ast
import shutil
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Literal

from darlr.io.folders import adding_folder

Kind = Literal["world", "learned", "baseline", "trivial"]
PACKAGE = Path(__file__).parents[2]


def _within(room: str, names: str) -> tuple[str, ...]:
    """Paths of the files and folders of a room that these words name."""
    return tuple(f"{room}/{name}" for name in names.split())


# Files and folders whose source changes no number of a cell. The values of the options are in its address.
NEUTRAL = (
    *("__init__.py", "__main__.py", "errors.py", "api/", "cli/", "data/report.py", "options/", "serving/"),
    *_within("evaluation", "held_out.py next_items.py off_policy.py pictures/ report.py result.py sections.py"),
    *_within("evaluation", "statistics.py verdict.py"),
    *_within("experiments", "checks.py entries.py evaluate.py ground.py process.py progress.py"),
    *_within("experiments", "save.py study/ unseen.py"),
)
WORKER = "experiments/study/worker.py"  # it makes the numbers of a cell, so it is not neutral
_AGENTS = ("agents/", "methods/", "evaluation/estimation.py", "experiments/finished.py", "experiments/training.py")
# Files and folders that a kind of cell does not use.
UNTOUCHED: dict[Kind, tuple[str, ...]] = {
    "world": (*_AGENTS, "evaluation/", "policies/", "simulation/", WORKER),
    "learned": ("evaluation/lists.py", "policies/"),
    "baseline": (*_AGENTS, "evaluation/lists.py"),
    "trivial": (*_AGENTS, "policies/"),
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
    """12 hex digits that hash the files that a kind of cell depends on, without comments, docstrings and layout."""
    total = sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if (name == WORKER or not name.startswith(NEUTRAL)) and not name.startswith(UNTOUCHED[kind]):
            total.update(name.encode() + b"\0")
            total.update(_meaning(path.read_text(encoding="utf-8")).encode() + b"\0")
    return total.hexdigest()[:12]


@cache
def _meaning(source: str) -> str:
    """The source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            # Any bare string is a docstring: of a module, class, function or field.
            node.body = [line for line in node.body if not _is_text(line)]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]
    return ast.unparse(tree)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
