"""Open a log by a built-in name or the folder of a prepared data set, and prepare such a folder."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.registry import SETS
from darlr.data.store import check_target, is_prepared, load, load_report, save
from darlr.errors import DataError
from darlr.io.hints import perhaps
from darlr.io.places import own_folder, refuse_address
from darlr.options import TableConfig

BUILT_IN = tuple(SETS)


def raw_folder() -> Path:
    """The folder of raw data sets: DARLR_DATA, else the user's own data folder."""
    named = os.environ.get("DARLR_DATA")
    try:
        if named:
            refuse_address(named)
            return Path(named).expanduser()
        return own_folder("XDG_DATA_HOME", ".local", "share")
    except RuntimeError:
        raise DataError(
            "this user has no home folder to look for raw data in; set DARLR_DATA to the full path of a folder"
        ) from None


def read_source(source: str, *, raw: Path | None = None, options: Any = None) -> tuple[InteractionLog, PrepareReport]:
    """The log that `source` names, one of BUILT_IN or a prepared folder, and what its reader saw.

    raw: the folder that holds coat/, kuairec/ and others, by default `raw_folder()`. options: those of the data set
    (darlr.data.sets.registry), such as which world to generate; another data set ignores them. Raises DataError when
    there is no such source or it cannot be read.
    """
    if source in SETS:
        return SETS[source].read(raw or raw_folder(), options)
    refuse_address(source)
    folder = Path(source)
    if is_prepared(folder) or folder.is_dir():
        return load(folder), load_report(folder)
    if folder.is_file():
        raise DataError(f"{folder}: a file; `darlr data prepare table --log {folder} ...` turns it into a data set")
    hint = perhaps(source, BUILT_IN, f"known: {', '.join(BUILT_IN)}, or a prepared folder")
    raise DataError(f"'{source}' is neither a built-in data set nor a folder; {hint}")


def open_source(name_or_folder: str, *, raw: Path | None = None, options: Any = None) -> InteractionLog:
    """`read_source` without the report."""
    return read_source(name_or_folder, raw=raw, options=options)[0]


def prepare(
    source: str | TableConfig,
    out: Path,
    *,
    raw: Path | None = None,
    options: Any = None,
    notes: Sequence[str] = (),
    finish: Callable[[Path], None] = lambda _: None,
) -> PrepareReport:
    """Read `source` (a name or prepared folder, see darlr.data.sources, or a user's own files) and write folder `out`.

    raw, options: see `read_source`. notes: more notes of the report. finish: see `darlr.data.store.save`. Nothing is
    written when reading fails. Raises DataError or ConfigError.
    """
    check_target(out)
    if isinstance(source, TableConfig):
        from darlr.data.tabular.read_table import read_table  # polars, which other sources may do without

        log, report = read_table(source)
    else:
        log, report = read_source(source, raw=raw, options=options)
    report = replace(report, notes=(*report.notes, *notes))
    save(log, out, report, finish)
    return report
