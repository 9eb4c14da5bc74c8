"""Prepare a data set: read a source and write a prepared folder."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from darlr.data.report import PrepareReport
from darlr.data.sources import read_source
from darlr.data.store import check_target, save
from darlr.data.tabular.read_table import read_table
from darlr.options import TableConfig


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

    raw, options: see `read_source`. notes: what the report says besides. finish: see `darlr.data.store.save`. Nothing
    is written when reading fails. Raises DataError or ConfigError.
    """
    check_target(out)
    if isinstance(source, TableConfig):
        log, report = read_table(source)
    else:
        log, report = read_source(source, raw=raw, options=options)
    report = replace(report, notes=(*report.notes, *notes))
    save(log, out, report, finish)
    return report
