"""The options of `darlr data`, from which its help is made."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from darlr.options import KuaiRecConfig, SyntheticConfig, TableConfig

HERE = arg(name="")  # options without a prefix
FOLDER = arg(metavar="FOLDER")


@dataclass(frozen=True)
class Reader:
    """Options of every data set that can be prepared."""

    out: Annotated[Path, FOLDER]
    """Folder to write. A prepared data set in it is replaced."""


@dataclass(frozen=True)
class PublicReader(Reader):
    """Options of every public data set."""

    raw: Annotated[Path | None, FOLDER] = None
    """Folder that holds the folder of the raw files. The default is the one that DARLR_DATA names."""


@dataclass(frozen=True)
class Coat(PublicReader):
    """The Coat shopping data set, in coat/. It has a published truth."""

    complete: bool = False
    """Compute the true rewards from test.ascii, even where coat_pseudoGT_ratingM.ascii holds some."""


@dataclass(frozen=True)
class KuaiRand(PublicReader):
    """KuaiRand-Pure, in kuairand/. Its truth is computed from random videos."""


@dataclass(frozen=True)
class KuaiRec(PublicReader):
    """KuaiRec, in kuairec/ or 'KuaiRec 2.0/data/'. Its small matrix is the truth."""

    config: Annotated[KuaiRecConfig, HERE] = field(default_factory=KuaiRecConfig)


@dataclass(frozen=True)
class KuaiRecBinary(PublicReader):
    """The logged positives of KuaiRec, in kuairec_binary/. Its block is the truth."""


@dataclass(frozen=True)
class Synthetic(Reader):
    """The built-in synthetic world, whose truth is known."""

    world: Annotated[SyntheticConfig, HERE] = field(default_factory=SyntheticConfig)


@dataclass(frozen=True)
class Table(Reader):
    """Your own CSV, TSV or Parquet files."""

    table: Annotated[TableConfig, HERE]


@dataclass(frozen=True)
class Yahoo(PublicReader):
    """Yahoo! R3, in yahoo/. Its truth is computed from ratings of random songs."""

    truth: Annotated[Path | None, arg(metavar="FILE")] = None
    """File of true rewards to use instead: a matrix of the users of the test file by the songs."""


@dataclass(frozen=True)
class Prepare:
    """Read raw files, check them, and write a data set (Parquet and JSON)."""

    source: (
        Annotated[Coat, subcommand("coat")]
        | Annotated[KuaiRec, subcommand("kuairec")]
        | Annotated[KuaiRand, subcommand("kuairand")]
        | Annotated[KuaiRecBinary, subcommand("kuairec_binary")]
        | Annotated[Synthetic, subcommand("synthetic")]
        | Annotated[Table, subcommand("table")]
        | Annotated[Yahoo, subcommand("yahoo")]
    )


@dataclass(frozen=True)
class Info:
    """Print what a data set holds, and what its reader dropped."""

    source: Positional[str]
    """synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or the folder of a prepared data set."""


@dataclass(frozen=True)
class Check:
    """Print a profile of a data set, its problems, and what to do about them."""

    source: Positional[str]
    """synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or the folder of a prepared data set."""
    json: bool = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class ListSets:
    """List the public data sets: their licences, sizes, and where they are."""


@dataclass(frozen=True)
class Download:
    """Download a public data set, or print how to get it (extra `download`)."""

    name: Positional[str]
    """coat, kuairec or kuairand. `darlr data list` describes them."""
    to: Annotated[Path | None, FOLDER] = None
    """Folder to put the data set into. The default is the one that DARLR_DATA names."""
    mirror: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Folder or address (file://, http:// or https://) that holds the archive. The default is that of the authors."""


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
