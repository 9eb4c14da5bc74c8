"""What is known of a public data set: its licence and size, where its files come from, and whether they are at hand."""

from dataclasses import dataclass
from pathlib import Path

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
