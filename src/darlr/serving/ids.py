"""The ids in which a caller speaks of users and items, and their codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from darlr.data.spelling import plain, without_point

Id = str | int


@dataclass(frozen=True)
class Ids:
    """The ids of the users, or the items, of a policy. The position of an id is its code."""

    ids: Sequence[Id]

    @cached_property
    def codes(self) -> dict[str, int]:
        """The code of each id, by its text."""
        return {str(name): code for code, name in enumerate(self.ids)}

    @cached_property
    def numbers(self) -> bool:
        """Whether all ids are whole numbers; 1.0 is then another spelling of 1."""
        return all(without_point(name) == name and name.removeprefix("-").isdigit() for name in self.codes)

    def code(self, name: object) -> int | None:
        """The code of an id, spelled as it is in the log or as a log's reader would spell it; None if it is unknown."""
        typed = plain(str(name))
        whole = without_point(typed)
        for spelled in (str(name), typed, *([whole] if whole != typed and self.numbers else [])):
            if spelled in self.codes:
                return self.codes[spelled]
        return None

    def split(self, names: Sequence[object]) -> tuple[list[int], list[object]]:
        """The codes of the names that are known, and the names that are not."""
        codes = [self.code(name) for name in names]
        unknown = [name for name, code in zip(names, codes, strict=True) if code is None]
        return [code for code in codes if code is not None], unknown
