"""DARLR+: DARLR with other defaults of options. Every choice was made on the log alone (docs/results.md)."""

from dataclasses import replace

from darlr.methods.darlr import DARLR

DARLR_PLUS = replace(
    DARLR,
    name="darlr+",
    title="DARLR+",
    defaults={
        "world_model.kind": "mixed",
        "train.reward.start": "frozen",
        "train.recommender.prior": 10.0,
        "train.recommender.belief": 1.0,
        "train.recommender.caution": 1000.0,
    },
)
