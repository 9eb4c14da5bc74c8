"""Which items may be shown to whom: the parts `exclude` and `only` of a call."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from darlr.serving.history import of_user, read_items
from darlr.serving.ids import Ids


class ItemRule:
    """Items for everybody, or for each user of a mapping.

    unknown: the ids met so far that the catalogue lacks; they name no item and change nothing.
    """

    def __init__(self, given: Any, option: str, items: Ids) -> None:
        """given: as a caller gives it; None is no rule. Raises ConfigError for what holds no ids."""
        self.option, self.items = option, items
        self.unknown: list[object] = []
        self.by_user: Mapping[Any, Any] | None = given if isinstance(given, Mapping) else None
        self.everybody = None if given is None or self.by_user is not None else self._marked(given)

    def marked(self, names: Iterable[Any]) -> Tensor | None:
        """Which items the rule names for the user of these names, bool [I]; None where it has no entry."""
        if self.by_user is None:
            return self.everybody
        found = of_user(self.by_user, names)
        return None if found is None else self._marked(found)

    def _marked(self, given: Any) -> Tensor:
        codes, unknown = self.items.split(read_items(given, self.option))
        self.unknown += unknown
        marked = torch.zeros(len(self.items.ids), dtype=torch.bool)
        marked[torch.tensor(codes, dtype=torch.int64)] = True
        return marked
