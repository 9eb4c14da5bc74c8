"""The ids of users and items as a caller spells them, and their codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final

from darlr.data.spelling import plain, without_point

Id = str | int


class NewUser(Enum):
    """The type of `NEW`, which stands for a cold-start user without an id."""

    NEW = "new"

    def __repr__(self) -> str:
        """The name in the library."""
        return "darlr.NEW"


NEW: Final = NewUser.NEW


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
        """Whether all ids are whole numbers, so that 1.0 is another spelling of 1."""
        return all(without_point(name) == name and name.removeprefix("-").isdigit() for name in self.codes)

    def code(self, name: object) -> int | None:
        """The code of an id as the log, or a reader of logs, spells it; None where it is unknown."""
        written = str(name)
        if written in self.codes:
            return self.codes[written]
        typed = plain(written)
        spellings = (typed, *([without_point(typed)] if self.numbers else []))
        return next((self.codes[spelling] for spelling in spellings if spelling in self.codes), None)

    def split(self, names: Sequence[object]) -> tuple[list[int], list[object]]:
        """The codes of the names that are known, and the names that are not."""
        codes = [self.code(name) for name in names]
        unknown = [name for name, code in zip(names, codes, strict=True) if code is None]
        return [code for code in codes if code is not None], unknown
