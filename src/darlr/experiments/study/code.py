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
# Files and folders whose source changes no number of a cell. The values of the options are in its address.
NEUTRAL = (
    "__init__.py",
    "__main__.py",
    "api/",
    "cli/",
    "data/report.py",
    "errors.py",
    "evaluation/held_out.py",
    "evaluation/next_items.py",
    "evaluation/off_policy.py",
    "evaluation/pictures/",
    "evaluation/report.py",
    "evaluation/result.py",
    "evaluation/sections.py",
    "evaluation/statistics.py",
    "evaluation/verdict.py",
    "experiments/checks.py",
    "experiments/compatible.py",
    "experiments/entries.py",
    "experiments/evaluate.py",
    "experiments/next_items.py",
    "experiments/plots.py",
    "experiments/process.py",
    "experiments/progress.py",
    "experiments/provenance.py",
    "experiments/save.py",
    "experiments/study/",
    "experiments/unseen.py",
    "options/",
    "serving/",
)
WORKER = "experiments/study/worker.py"  # it makes the numbers of a cell, so it is not neutral
_AGENTS = ("agents/", "evaluation/estimation.py", "experiments/finished.py", "experiments/training.py", "methods/")
# Files and folders that a kind of cell does not use.
UNTOUCHED: dict[Kind, tuple[str, ...]] = {
    "world": (*_AGENTS, "evaluation/", "policies/", "simulation/", WORKER),
    "learned": ("evaluation/lists.py", "policies/"),
    "baseline": (*_AGENTS, "evaluation/lists.py"),
    "trivial": (*_AGENTS, "policies/"),
}


def counted(kind: Kind, package: Path = PACKAGE) -> list[Path]:
    """The source files that the numbers of a kind of cell depend on, in order."""
    files = {path.relative_to(package).as_posix(): path for path in sorted(package.rglob("*.py"))}
    return [
        path
        for name, path in files.items()
        if (name == WORKER or not name.startswith(NEUTRAL)) and not name.startswith(UNTOUCHED[kind])
    ]


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
    """12 hex digits that hash these files without comments, docstrings and layout."""
    total = sha256()
    for path in counted(kind, package):
        total.update(path.relative_to(package).as_posix().encode() + b"\0")
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
