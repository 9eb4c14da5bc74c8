"""The data sets that are known by name. A new one is a module of this package and an entry here.

The module is imported when its data set is read. Its function `read(folder, options)` returns the log and a report. If
there is a truth, it is registered in darlr.evaluation.truth.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr.errors import DataError
from darlr.io.hints import perhaps
from darlr.io.places import below
from darlr.options import CoatConfig, KuaiRecConfig, SyntheticConfig, YahooConfig

if TYPE_CHECKING:
    from darlr.data.log import InteractionLog
    from darlr.data.report import PrepareReport


@dataclass(frozen=True)
class DataSet:
    """A data set by name, which is also the name of its module, and where its files come from.

    about: the help text of `darlr data prepare NAME`. options: the options dataclass of its reader and its truth.
    folder: the folder of its files below the raw data, as help names it; "" where there are no files, and then all that
    follows is empty. sign: a file that every copy has. archive: the one file to download, from `url`. known_hash: its
    checksum ("md5:..."), or None where none is published. by_hand: what a person has to do.
    """

    name: str
    about: str
    options: type[Any] | None = None
    folder: str = ""
    title: str = ""
    licence: str = ""
    size: str = ""
    page: str = ""
    sign: str = ""
    archive: str | None = None
    url: str | None = None
    known_hash: str | None = None
    by_hand: str = ""

    def read(self, raw: Path, options: Any = None) -> "tuple[InteractionLog, PrepareReport]":
        """The log and the report of its reader. raw: the folder of raw data. options of other data sets are ignored."""
        log, report = importlib.import_module(f"darlr.data.sets.{self.name}").read(raw / self.name, self.own(options))
        return log, report

    def own(self, options: Any) -> Any:
        """The options if they are those of this data set, otherwise its default ones; None where it has none."""
        if self.options is None or isinstance(options, self.options):
            return options if self.options else None
        return self.options()

    def at_hand(self, raw: Path) -> Path | None:
        """The folder below `raw` that holds its files, or None."""
        folder = raw / self.name
        found = (place for place, _, files in below(folder) if self.sign in files) if folder.is_dir() else ()
        return min(found, key=lambda place: len(place.parts), default=None)


SETS = {
    entry.name: entry
    for entry in (
        DataSet("synthetic", "The built-in synthetic world, whose truth is known.", SyntheticConfig),
        DataSet(
            "coat",
            "The Coat shopping data set.",
            CoatConfig,
            "coat/",
            title="Coat Shopping (Schnabel et al., ICML 2016): 290 users, 300 items, 6,960 ratings",
            licence="for research; see its page",
            size="small",
            page="https://www.cs.cornell.edu/~schnabts/mnar/",
            sign="train.ascii",
            archive="coat.zip",
            url="https://www.cs.cornell.edu/~schnabts/mnar/coat.zip",
            by_hand="The archive lacks the completed matrix coat_pseudoGT_ratingM.ascii, which evaluation uses. The "
            "repository BetsyHJ/RL4Rec on GitHub (MIT) has it; put it beside train.ascii.",
        ),
        DataSet(
            "kuairec",
            "KuaiRec in its official files: the big matrix as the log, the small one as the truth.",
            KuaiRecConfig,
            "kuairec/ or 'KuaiRec 2.0/data/'",
            title="KuaiRec 2.0 (Gao et al., CIKM 2022): 7,176 users, 10,728 videos, 12.5 million events",
            licence="CC BY-SA 4.0",
            size="432 MB packed",
            page="https://kuairec.com",
            sign="big_matrix.csv",
            archive="KuaiRec.zip",
            url="https://zenodo.org/records/18164998/files/KuaiRec.zip",
            known_hash="md5:261550d472c48eff4990fb13c0e5bcf7",
        ),
        DataSet(
            "kuairec_binary",
            "Logged positives of KuaiRec, and a fully observed block as the truth.",
            folder="kuairec_binary/",
            title="KuaiRec cut to one bit a cell: 915,673 logged positives and the observed block",
            licence="CC BY-SA 4.0, derived from KuaiRec",
            size="about 5 MB",
            page="https://kuairec.com",
            sign="log_positives.csv.gz",
            by_hand="It is not published on its own; use kuairec.",
        ),
        DataSet(
            "kuairand",
            "KuaiRand-Pure; its truth is completed from the random log.",
            folder="kuairand/",
            title="KuaiRand-Pure (Gao et al., CIKM 2022): 27,285 users, 7,583 videos, 1.4 million events",
            licence="CC BY-SA 4.0",
            size="47 MB packed, 194 MB unpacked",
            page="https://kuairand.com",
            sign="log_standard_4_08_to_4_21_pure.csv",
            archive="KuaiRand-Pure.tar.gz",
            url="https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
            known_hash="md5:0820331067a3784d9691136f772b35a7",
        ),
        DataSet(
            "yahoo",
            "Yahoo! R3; its truth is completed from the ratings of random songs.",
            YahooConfig,
            "yahoo/",
            title="Yahoo! R3 (Marlin and Zemel, RecSys 2009): 15,400 users, 1,000 songs, 311,704 ratings",
            licence="Yahoo! Webscope: on request, not to be passed on",
            size="small",
            page="https://webscope.sandbox.yahoo.com/catalog.php?datatype=r",
            sign="ydata-ymusic-rating-study-v1_0-train.txt",
            by_hand="Ask for data set R3 on its page with an account of a university or institute, accept the terms, "
            "and unpack what you are sent.",
        ),
    )
}


def public_set(name: str) -> DataSet:
    """The data set of that name that has files. Raises DataError, with the closest name, where there is none."""
    known = [entry.name for entry in SETS.values() if entry.folder]
    if name in known:
        return SETS[name]
    hint = perhaps(name, known, f"known: {', '.join(known)}") + "; synthetic needs none" * (name == "synthetic")
    raise DataError(f"'{name}' is no data set to download; {hint}")


def listed(raw: Path) -> str:
    """The text of `darlr data list`, a paragraph for each data set. raw: the folder of raw data."""
    lines = ["synthetic: built in", "  needs no files; its truth is known"]
    for entry in (one for one in SETS.values() if one.folder):
        found = entry.at_hand(raw)
        get = f"darlr data download {entry.name}" if entry.archive else entry.by_hand
        lines += [
            "",
            f"{entry.name}: {f'at hand in {found}' if found else f'not in {raw / entry.name}'}",
            f"  {entry.title}",
            f"  licence: {entry.licence}; {entry.size}; {entry.page}",
            *([] if found else [f"  to get it: {get}"]),
        ]
    return "\n".join(lines)
