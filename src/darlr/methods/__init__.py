"""The methods: one file each, one line of registration each; `register` takes others from outside the package."""

from darlr.methods.darlr import DARLR
from darlr.methods.darlr_plus import DARLR_PLUS
from darlr.methods.dorl import DORL
from darlr.methods.gt import GT
from darlr.methods.ips import IPS
from darlr.methods.mbpo import MBPO
from darlr.methods.mopo import MOPO
from darlr.methods.registry import METHODS, Cost, Method, find, register, usual, weighted, with_defaults
from darlr.methods.rewards import References, RewardTables, Shaped, Step
from darlr.methods.roler import ROLER

__all__ = [
    "METHODS", "Cost", "Method", "References", "RewardTables", "Shaped", "Step", "find",
    "register", "usual", "weighted", "with_defaults",
]  # fmt: skip

register(MBPO)
register(MOPO)
register(IPS)
register(DORL)
register(ROLER)
register(DARLR)
register(GT)
register(DARLR_PLUS)
