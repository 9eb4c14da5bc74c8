"""A folder of versions of a policy, and the pointer to the one in use.

shop/3f2a90c1d4e5b678/   a policy folder, named by its version; it never changes, and nothing here removes it
shop/current             a line of text: the name of the version in use

A server that serves `shop` reads the pointer at its start and at each reload.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from darlr.errors import RunError
from darlr.io.files import atomic_write_text, naming, sync
from darlr.io.folders import DRAFT, beside, left_behind
from darlr.serving.exported.folder import METADATA

CURRENT, VERSION = "current", re.compile(r"[0-9a-f]{16}")


def pointed(folder: Path) -> Path:
    """The folder of the version in use; the folder itself where it holds no pointer. RunError for a wrong pointer."""
    pointer = folder / CURRENT
    if not pointer.is_file():
        return folder
    try:
        name = pointer.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{pointer}: cannot be read ({error}); write it anew with darlr point") from error
    known = versions(folder)
    if name not in known:
        held = f"choose one of {', '.join(known)}: darlr point {folder} VERSION" if known else "there is none"
        raise RunError(f"{pointer}: names {name[:40]!r}, which is no version here; {held}")
    return folder / name


def in_use(folder: Path) -> str | None:
    """The version that the pointer names, where it is still there."""
    try:
        return pointed(folder).name if (folder / CURRENT).is_file() else None
    except RunError:
        return None


def versions(folder: Path) -> list[str]:
    """The versions in a folder, the newest last."""
    found = [path for path in folder.iterdir() if VERSION.fullmatch(path.name)] if folder.is_dir() else []
    kept = [path for path in found if (path / METADATA).is_file()]
    return [path.name for path in sorted(kept, key=lambda path: (path.stat().st_mtime_ns, path.name))]


def add_version(folder: Path, write: Callable[[Path], None], version_of: Callable[[Path], str]) -> str:
    """Write a policy under its version, and return that; an equal policy that is there already stays as it is.

    write: writes a policy folder. version_of: the version of one. Raises RunError where the folder cannot be written.
    """
    place = folder / "policy"  # a name that no version has
    with naming(folder):
        for leftover in left_behind(place, DRAFT):
            shutil.rmtree(leftover, ignore_errors=True)
        draft = beside(place, DRAFT)
        draft.mkdir(parents=True)
        try:
            write(draft / "policy")
            for path in (draft / "policy").iterdir():
                sync(path)
            name = version_of(draft / "policy")
            if not (folder / name).exists():
                os.rename(draft / "policy", folder / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return name


def point(folder: Path, version: str) -> None:
    """Point to a version, at once for whoever reads the pointer. Raises RunError for one that is not there."""
    known = versions(folder)
    if version not in known:
        held = f"it holds {', '.join(known)}" if known else "it holds none; write one with darlr export RUN --to FOLDER"
        raise RunError(f"{folder}: holds no version {version[:40]!r}; {held}")
    atomic_write_text(folder / CURRENT, version + "\n")
