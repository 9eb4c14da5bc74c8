"""Where a log comes from: a built-in name, or the folder of a prepared data set."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.coat import read_coat
from darlr.data.sets.kuairand import read_kuairand
from darlr.data.sets.kuairec import kuairec_folder, read_kuairec
from darlr.data.sets.kuairec_binary import read_kuairec_binary
from darlr.data.sets.synthetic import generate
from darlr.data.sets.yahoo import read_yahoo
from darlr.data.store import is_prepared, load, load_report
from darlr.errors import DataError
from darlr.io.hints import perhaps
from darlr.io.places import refuse_address
from darlr.options import KuaiRecConfig, SyntheticConfig

# What is read from the folder of its name without an option.
READERS: dict[str, Callable[[Path], tuple[InteractionLog, PrepareReport]]] = {
    "coat": read_coat,
    "kuairec_binary": read_kuairec_binary,
    "kuairand": read_kuairand,
    "yahoo": read_yahoo,
}
BUILT_IN = ("synthetic", "kuairec", *READERS)


def raw_folder() -> Path:
    """The folder of raw data sets: DARLR_DATA, else the user's own data folder."""
    named = os.environ.get("DARLR_DATA")
    try:
        if named:
            refuse_address(named)
            return Path(named).expanduser()
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        else:
            base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    except RuntimeError:  # as in containers: no HOME, and a user id without a name
        raise DataError(
            "this user has no home folder to look for raw data in; set DARLR_DATA to the full path of a folder"
        ) from None
    return Path(base) / "darlr"


def read_source(
    source: str,
    *,
    raw: Path | None = None,
    synthetic: SyntheticConfig | None = None,
    kuairec: KuaiRecConfig | None = None,
) -> tuple[InteractionLog, PrepareReport]:
    """The log that `source` names (one of BUILT_IN, or a prepared folder), and what its reader saw.

    raw: folder that holds coat/, kuairec/ and others (default `raw_folder()`). synthetic: the world to generate.
    kuairec: how its raw files become rewards.
    Raises DataError when there is no such source or it cannot be read.
    """
    if source == "synthetic":
        log = generate(synthetic or SyntheticConfig()).log
        return log, PrepareReport("synthetic", rows_read=len(log), rows_kept=len(log))
    if source == "kuairec":
        return read_kuairec(kuairec_folder(raw or raw_folder()), kuairec)
    if source in READERS:
        return READERS[source]((raw or raw_folder()) / source)
    refuse_address(source)
    folder = Path(source)
    if is_prepared(folder):
        return load(folder), load_report(folder)
    if folder.is_dir():
        raise DataError(f"{folder}: not a prepared data set (no dataset.json); make one with `darlr data prepare`")
    if folder.is_file():
        raise DataError(f"{folder}: a file; `darlr data prepare table --log {folder} ...` turns it into a data set")
    hint = perhaps(source, BUILT_IN, f"known: {', '.join(BUILT_IN)}, or a prepared folder")
    raise DataError(f"'{source}' is neither a built-in data set nor a folder; {hint}")


def open_source(
    name_or_folder: str, *, raw: Path | None = None, synthetic: SyntheticConfig | None = None
) -> InteractionLog:
    """`read_source` without the report."""
    return read_source(name_or_folder, raw=raw, synthetic=synthetic)[0]
