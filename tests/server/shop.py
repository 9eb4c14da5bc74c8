"""A run whose names try to become markup, from a log of 24 users and 20 items."""

from dataclasses import replace
from pathlib import Path

import numpy as np

import darlr
from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.sets.synthetic import generate
from darlr.options import SyntheticConfig

HOSTILE = (
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "' \" & ${window.hacked = 1} </bdi></h3>",
    "two\nlines",
    "long" * 60,
    "javascript:window.hacked=1",
)
ITEMS = tuple(HOSTILE) + tuple(f"item {n}" for n in range(len(HOSTILE), 20))
CATEGORIES = ("<b>bold</b>", "<svg onload=window.hacked=1>", "plain", "\u05e2\u05d1\u05e8\u05d9\u05ea")
TURNS = 6


def hostile_log() -> InteractionLog:
    log = generate(SyntheticConfig(users=24, items=20, categories=4, events_per_user=8)).log
    column = next(one for one in log.item_features if one.name == "category")
    words = FeatureColumn("<i>maker</i>", "categorical", np.arange(20) % 3, ("<u>a</u>", "b'\"", "c" * 300))
    features = (replace(column, vocabulary=CATEGORIES), words)
    rewards = log.reward.round()
    return replace(
        log, item_ids=ITEMS, user_ids=tuple(f"<u>{n}" for n in range(24)), item_features=features, reward=rewards
    )


def make_shop(folder: Path) -> None:
    options = {
        "steps": 300,
        "sessions": 8,
        "model": {"kind": "deepfm", "epochs": 1, "members": 1},
        "selector": {"picks": 4},
    }
    model = darlr.Recommender("darlr+", session={"turns": TURNS}, **options)
    model.fit(hostile_log(), epochs=1, progress=False).save(folder)
