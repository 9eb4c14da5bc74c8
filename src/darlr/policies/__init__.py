"""Rows that are not DARLR's family: bandits, model-free agents on logged sessions, supervised rankings."""

from darlr.policies.files import load_baseline, save_baseline
from darlr.policies.registry import BASELINES, Baseline, fit_baseline
from darlr.world.context import Context

__all__ = ["BASELINES", "Baseline", "Context", "fit_baseline", "load_baseline", "save_baseline"]
