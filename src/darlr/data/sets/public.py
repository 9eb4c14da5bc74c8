"""The public data sets we know: licence, size, where they come from, and whether they are at hand."""

from dataclasses import dataclass
from pathlib import Path

from darlr.errors import DataError
from darlr.io.hints import perhaps
from darlr.io.places import below


@dataclass(frozen=True)
class PublicSet:
    """A data set and where its files come from.

    sign: a file that every copy has. archive: its one file to download, from `url`, with checksum `known_hash`
    ("md5:..."), or None where no address, or no checksum, is known for sure. by_hand: what a person has to do.
    """

    name: str
    title: str
    licence: str
    size: str
    page: str
    sign: str
    archive: str | None = None
    url: str | None = None
    known_hash: str | None = None
    by_hand: str = ""

    def at_hand(self, raw: Path) -> Path | None:
        """The folder below `raw` that holds its files, or None."""
        folder = raw / self.name
        if not folder.is_dir():
            return None
        found = (place for place, _, files in below(folder) if self.sign in files)
        return min(found, key=lambda place: len(place.parts), default=None)


PUBLIC = (
    PublicSet(
        name="coat",
        title="Coat Shopping (Schnabel et al., ICML 2016): 290 users, 300 items, 6,960 ratings",
        licence="for research; see its page",
        size="small",
        page="https://www.cs.cornell.edu/~schnabts/mnar/",
        sign="train.ascii",
        archive="coat.zip",
        url="https://www.cs.cornell.edu/~schnabts/mnar/coat.zip",
        by_hand="The completed matrix coat_pseudoGT_ratingM.ascii, which evaluation plays on, is not in it: it is "
        "in the repository BetsyHJ/RL4Rec on GitHub (MIT); put it beside train.ascii.",
    ),
    PublicSet(
        name="kuairec",
        title="KuaiRec 2.0 (Gao et al., CIKM 2022): 7,176 users, 10,728 videos, 12.5 million events",
        licence="CC BY-SA 4.0",
        size="432 MB packed",
        page="https://kuairec.com",
        sign="big_matrix.csv",
        archive="KuaiRec.zip",
        url="https://zenodo.org/records/18164998/files/KuaiRec.zip",
        known_hash="md5:261550d472c48eff4990fb13c0e5bcf7",
    ),
    PublicSet(
        name="kuairec_binary",
        title="KuaiRec cut to one bit a cell: 915,673 logged positives and the observed block",
        licence="CC BY-SA 4.0, derived from KuaiRec",
        size="about 5 MB",
        page="https://kuairec.com",
        sign="log_positives.csv.gz",
        by_hand="It is not published on its own; use kuairec.",
    ),
    PublicSet(
        name="kuairand",
        title="KuaiRand-Pure (Gao et al., CIKM 2022): 27,285 users, 7,583 videos, 1.4 million events",
        licence="CC BY-SA 4.0",
        size="47 MB packed, 194 MB unpacked",
        page="https://kuairand.com",
        sign="log_standard_4_08_to_4_21_pure.csv",
        archive="KuaiRand-Pure.tar.gz",
        url="https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
        known_hash="md5:0820331067a3784d9691136f772b35a7",
    ),
    PublicSet(
        name="yahoo",
        title="Yahoo! R3 (Marlin and Zemel, RecSys 2009): 15,400 users, 1,000 songs, 311,704 ratings",
        licence="Yahoo! Webscope: on request, not to be passed on",
        size="small",
        page="https://webscope.sandbox.yahoo.com/catalog.php?datatype=r",
        sign="ydata-ymusic-rating-study-v1_0-train.txt",
        by_hand="Ask for data set R3 on its page with an account of a university or institute, accept the terms, and "
        "unpack what you are sent.",
    ),
)


def public_set(name: str) -> PublicSet:
    """The data set of that name; raises DataError, with the closest name, where there is none."""
    known = {entry.name: entry for entry in PUBLIC}
    if name in known:
        return known[name]
    hint = perhaps(name, known, f"known: {', '.join(known)}")
    raise DataError(
        f"'{name}' is no data set to download; {hint}" + ("; synthetic needs none" if name == "synthetic" else "")
    )


def listed(raw: Path, readable: tuple[str, ...]) -> str:
    """One paragraph a data set. raw: the folder of raw data; readable: the names that this version reads."""
    lines = ["synthetic: built in", "  needs no files; its truth is known", ""]
    for entry in PUBLIC:
        found = entry.at_hand(raw)
        here = f"at hand in {found}" if found else f"not in {raw / entry.name}"
        get = f"darlr data download {entry.name}" if entry.archive else entry.by_hand
        lines += [
            f"{entry.name}: {here}",
            f"  {entry.title}",
            f"  licence: {entry.licence}; {entry.size}; {entry.page}",
            *([] if found else [f"  to get it: {get}"]),
            f"  {'read by name' if entry.name in readable else 'this version has no reader of its own for it'}",
            "",
        ]
    return "\n".join(lines[:-1])
