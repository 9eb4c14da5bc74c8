"""The list of public data sets, for `darlr data list` and `darlr data download`."""

from pathlib import Path

from darlr.data.sets.public import PublicSet
from darlr.data.sets.registry import SETS
from darlr.errors import DataError
from darlr.io.hints import perhaps


def public_set(name: str) -> PublicSet:
    """The data set of that name; raises DataError, with the closest name, where there is none."""
    known = [entry.name for entry in SETS.values() if entry.folder]
    if name in known:
        return SETS[name].public
    hint = perhaps(name, known, f"known: {', '.join(known)}")
    raise DataError(
        f"'{name}' is no data set to download; {hint}" + ("; synthetic needs none" if name == "synthetic" else "")
    )


def listed(raw: Path) -> str:
    """One paragraph for each data set. raw: the folder of raw data."""
    lines = ["synthetic: built in", "  needs no files; its truth is known", ""]
    for entry in (one.public for one in SETS.values() if one.folder):
        found = entry.at_hand(raw)
        here = f"at hand in {found}" if found else f"not in {raw / entry.name}"
        get = f"darlr data download {entry.name}" if entry.archive else entry.by_hand
        lines += [
            f"{entry.name}: {here}",
            f"  {entry.title}",
            f"  licence: {entry.licence}; {entry.size}; {entry.page}",
            *([] if found else [f"  to get it: {get}"]),
            "",
        ]
    return "\n".join(lines[:-1])
