"""The methods by name; `register` adds methods from outside the package (docs/add-a-method.md)."""

from darlr.methods.darlr import DARLR, DARLR_PLUS
from darlr.methods.predecessors import DORL, GT, IPS, MBPO, MOPO, ROLER
from darlr.methods.registry import METHODS, Cost, Method, find, register, usual, weighted, with_defaults
from darlr.methods.rewards import References, RewardTables, Shaped, Step

__all__ = [
    "METHODS", "Cost", "Method", "References", "RewardTables", "Shaped", "Step", "find",
    "register", "usual", "weighted", "with_defaults",
]  # fmt: skip

register(MBPO, MOPO, IPS, DORL, ROLER, DARLR, GT, DARLR_PLUS)
