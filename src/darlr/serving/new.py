"""The user who is in no log, in a call of `TrainedPolicy.recommend`."""

from enum import Enum
from typing import Final


class NewUser(Enum):
    """The type of `NEW`."""

    NEW = "new"

    def __repr__(self) -> str:
        """As it is written."""
        return "darlr.NEW"


NEW: Final = NewUser.NEW
