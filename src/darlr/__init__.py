"""DARLR: dual-agent offline reinforcement learning for recommender systems with dynamic reward.

The names below are all that most programs need. They are imported when they are first used, so that `import darlr`
itself is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darlr.api.recommender import Recommender as Recommender
    from darlr.api.recommender import load as load

__version__ = "0.1.0"

FACE = {
    "Recommender": "darlr.api.recommender",
    "load": "darlr.api.recommender",
}
__all__ = ["Recommender", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import a name of the face when it is first used."""
    if name not in FACE:
        raise AttributeError(f"module 'darlr' has no attribute {name!r}")
    value = getattr(importlib.import_module(FACE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names of the face, for completion in a shell or a notebook."""
    return sorted({*globals(), *FACE})
