"""`darlr recommend`: items for one user."""

import json
import math
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from darlr.cli import Recommend
from darlr.errors import ConfigError
from darlr.serving.recommender import load_policy
from darlr.stages.progress import say


def run(options: Recommend) -> None:
    """Print the best next items for a user."""
    history = [parse(event) for event in options.history]
    found = load_policy(options.run).recommend(options.user, options.count, history)
    if options.json:
        print(json.dumps([asdict(one) for one in found], allow_nan=False))
    else:
        table = Table("rank", "item", "probability")
        for rank, one in enumerate(found, start=1):
            table.add_row(str(rank), str(one.item), f"{one.probability:.3f}")
        Console().print(table)
    if len(found) < options.count:
        say(f"{len(found)} of {options.count}: the catalogue has no more that this session has not shown")


def parse(event: str) -> tuple[str, float]:
    """ITEM:REWARD; the last colon counts, so that ids may hold colons."""
    item, _, reward = event.rpartition(":")
    try:
        value = float(reward)
    except ValueError:
        value = math.nan
    if not item or not math.isfinite(value):
        raise ConfigError(f"option history: '{event}' is not ITEM:REWARD, such as 42:3.5")
    return item, value
