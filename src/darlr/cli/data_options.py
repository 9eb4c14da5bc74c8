"""The options of `darlr data`, from which its help is made."""

from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

from tyro.conf import Positional, arg, subcommand

from darlr.data.sets.registry import SETS, DataSet
from darlr.options import FeedbackConfig, TableConfig

HERE = arg(name="")  # options without a prefix
FOLDER = arg(metavar="FOLDER")
SAYS_NO = 3  # the exit code of a command that ended and says no: an update that is not promoted, an alarm
DATA = f"Data set: {', '.join(SETS)}, or the folder of a prepared one."


@dataclass(frozen=True)
class Reader:
    """Options of every data set that can be prepared."""

    out: Annotated[Path, FOLDER]
    """Folder to write. A prepared data set in it is replaced."""


@dataclass(frozen=True)
class Table(Reader):
    """Your own CSV, TSV or Parquet files."""

    table: Annotated[TableConfig, HERE]


@dataclass(frozen=True)
class Decisions(Reader):
    """A log of decisions that `darlr serve --decisions` or `darlr.DecisionLog` wrote.

    Each item that was shown and has a reward becomes an event, with its propensity. Feedback is joined by request id
    and item. Orphaned and late feedback is left out, copies count once, and all counts are printed.
    """

    log: Annotated[Positional[Path], FOLDER]
    """Folder of the log."""
    feedback: Annotated[FeedbackConfig, HERE] = field(default_factory=FeedbackConfig)
    users: Path | None = None
    """File of user features, with one user per row and the ids in a column `user`."""
    items: Path | None = None
    """File of item features, with one item per row and the ids in a column `item`."""
    category: str | None = None
    """Item feature that the exit rule reads. A user leaves when one of its values repeats."""
    reward_range: tuple[float, float] | None = None
    """Lowest and highest possible reward. The default is the range in the log."""
    name: str | None = None
    """Name of the data set. The default is the name of the log's folder."""
    obp: bool = False
    """Write obp.parquet too, with the column names of Open Bandit Pipeline: position, pscore and others."""


def _reader(entry: DataSet) -> type[Reader]:
    """The options of `darlr data prepare NAME`."""
    options: list[Any] = []
    if entry.folder:
        text = f"Folder that holds {entry.folder}. The default is the folder that DARLR_DATA names."
        options.append(("raw", Annotated[Path | None, arg(metavar="FOLDER", help=text)], None))
    if entry.options is not None:
        options.append(("config", Annotated[entry.options, HERE], field(default_factory=entry.options)))
    made = make_dataclass(entry.name, options, bases=(Reader,), frozen=True, namespace={"__doc__": entry.about})
    return made


READERS: dict[str, type[Reader]] = {entry.name: _reader(entry) for entry in SETS.values()}
READERS |= {"table": Table, "decisions": Decisions}
if TYPE_CHECKING:
    Source = Reader
else:
    Source = Union[tuple(Annotated[READERS[name], subcommand(name)] for name in sorted(READERS))]  # noqa: UP007


@dataclass(frozen=True)
class Prepare:
    """Read raw files, check them, and write a data set folder (Parquet and JSON)."""

    source: Source


@dataclass(frozen=True)
class Info:
    """Print a summary of a data set, and of the rows that its reader dropped."""

    source: Annotated[Positional[str], arg(help=DATA)]


@dataclass(frozen=True)
class Check:
    """Print a profile of a data set, its problems, and the remedy for each, or compare newer events with a run."""

    source: Annotated[Positional[str], arg(help=f"{DATA} With --against also a file of newer events.")]
    against: Annotated[Path | None, FOLDER] = None
    """Folder of a run. The events of SOURCE that are new to it are compared with those that it was made for. A file is
    read as the run's own log was. The exit code is 3 where there is an alarm."""
    json: bool = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class ListSets:
    """List the public data sets with their licences, sizes and folders."""


@dataclass(frozen=True)
class Download:
    """Download a public data set, or print how to get it (extra `download`)."""

    name: Positional[str]
    """coat, kuairec or kuairand. `darlr data list` describes them."""
    to: Annotated[Path | None, FOLDER] = None
    """Folder to put the data set into. The default is the folder that DARLR_DATA names."""
    mirror: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Folder or address (file://, http:// or https://) of the archive. The default is the address of the authors."""


@dataclass(frozen=True)
class Data:
    """Prepare and inspect data sets."""

    action: (
        Annotated[Prepare, subcommand("prepare")]
        | Annotated[Info, subcommand("info")]
        | Annotated[Check, subcommand("check")]
        | Annotated[ListSets, subcommand("list")]
        | Annotated[Download, subcommand("download")]
    )
