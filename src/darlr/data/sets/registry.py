"""The data sets that are known by name. A new one is a module of this package and a line here.

A module is imported when its data set is asked for. It has `read(raw, options)`, which gives the log and a report from
the folder of raw data, and `PUBLIC`, which says where its files come from (darlr.data.sets.public), if it has files. A
truth, if there is one, is registered in darlr.evaluation.truth.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr.options import CoatConfig, KuaiRecConfig, SyntheticConfig, YahooConfig

if TYPE_CHECKING:
    from darlr.data.log import InteractionLog
    from darlr.data.report import PrepareReport
    from darlr.data.sets.public import PublicSet


@dataclass(frozen=True)
class DataSet:
    """A data set by name; its module is called like it.

    about: the help text of `darlr data prepare NAME`. options: the options dataclass of its reader and its truth.
    folder: the folder of its files below the raw data, as help says it; "" where it has none.
    """

    name: str
    about: str
    options: type[Any] | None = None
    folder: str = ""

    def read(self, raw: Path, options: Any = None) -> "tuple[InteractionLog, PrepareReport]":
        """The log and what its reader saw. raw: the folder of raw data. options: other data sets' are ignored."""
        log, report = self._module().read(raw, self.own(options))
        return log, report

    def own(self, options: Any) -> Any:
        """The options if they are those of this data set, otherwise its usual ones; None where it has none."""
        if self.options is None or isinstance(options, self.options):
            return options if self.options else None
        return self.options()

    @property
    def public(self) -> "PublicSet":
        """Where its files come from."""
        entry: PublicSet = self._module().PUBLIC
        return entry

    def _module(self) -> Any:
        return importlib.import_module(f"darlr.data.sets.{self.name}")


SETS = {
    entry.name: entry
    for entry in (
        DataSet("synthetic", "The built-in synthetic world, whose truth is known.", SyntheticConfig),
        DataSet("coat", "The Coat shopping data set.", CoatConfig, "coat/"),
        DataSet(
            "kuairec",
            "KuaiRec in its official files: the big matrix as the log, the small one to play on.",
            KuaiRecConfig,
            "kuairec/ or 'KuaiRec 2.0/data/'",
        ),
        DataSet(
            "kuairec_binary",
            "Logged positives of KuaiRec, and a fully observed block to play on.",
            folder="kuairec_binary/",
        ),
        DataSet("kuairand", "KuaiRand-Pure; its truth is completed from the random log.", folder="kuairand/"),
        DataSet("yahoo", "Yahoo! R3; its truth is completed from the ratings of random songs.", YahooConfig, "yahoo/"),
    )
}
