"""The interaction log: what every later stage reads, whatever file it came from."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureColumn:
    """One feature of every user or item.

    values: categorical int64 [n], codes into `vocabulary`, -1 = missing;
            multi int64 [n, most], codes padded with -1 (all -1 = no value);
            numeric float32 [n], NaN = missing.
    """

    name: str
    kind: Literal["categorical", "multi", "numeric"]
    values: NDArray[np.generic]
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Cells that are unobserved by construction (an evaluation block cut out of the log).

    users: int64 [a], items: int64 [b]; the block is their product. Never a source of negatives.
    """

    users: IntArray
    items: IntArray


@dataclass(frozen=True)
class SessionDefaults:
    """How sessions end on this data set when the configuration says `exit = auto`."""

    exit: Literal["none", "category", "distance"] = "none"
    window: int = 1
    threshold: float = 0.0
    turns: int = 30


@dataclass(frozen=True)
class InteractionLog:
    """Logged feedback with ids mapped to 0..n-1.

    user, item: int64 [L]; reward: float32 [L]; timestamp: int64 [L] or None (any unit, only order counts);
    propensity: float32 [L] in (0, 1] or None. user_ids, item_ids: original ids in code order, [U] and [I],
    all str or all int. category: name of the item feature that drives the exit rule and MCD, or None.
    """

    name: str
    user: IntArray
    item: IntArray
    reward: FloatArray
    user_ids: tuple[str, ...] | tuple[int, ...]
    item_ids: tuple[str, ...] | tuple[int, ...]
    timestamp: IntArray | None = None
    propensity: FloatArray | None = None
    user_features: tuple[FeatureColumn, ...] = ()
    item_features: tuple[FeatureColumn, ...] = ()
    category: str | None = None
    reward_range: tuple[float, float] = (0.0, 1.0)
    block: Block | None = None
    session: SessionDefaults = field(default_factory=SessionDefaults)

    @property
    def n_users(self) -> int:
        """U, users with or without events."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """I, items with or without events."""
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.user)

    def category_codes(self) -> IntArray | None:
        """Categories of each item, int64 [I, most], padded with -1; None without a category feature."""
        if self.category is None:
            return None
        column = next(c for c in self.item_features if c.name == self.category)
        values = np.asarray(column.values, dtype=np.int64)
        return values[:, None] if values.ndim == 1 else values
