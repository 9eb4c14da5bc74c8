"""`darlr recommend`: items for one user."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from darlr.cli import Recommend
from darlr.errors import ConfigError
from darlr.serving.recommender import load_policy


def run(options: Recommend) -> None:
    """Print the best next items for a user."""
    history = [parse(event) for event in options.history]
    found = load_policy(options.run).recommend(options.user, options.count, history)
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
        return
    table = Table("rank", "item", "probability")
    for rank, one in enumerate(found, start=1):
        table.add_row(str(rank), str(one.item), f"{one.probability:.3f}")
    Console().print(table)


def parse(event: str) -> tuple[str, float]:
    """ITEM:REWARD; the last colon counts, so that ids may hold colons."""
    item, colon, reward = event.rpartition(":")
    try:
        if not colon:
            raise ValueError
        return item, float(reward)
    except ValueError:
        raise ConfigError(f"option history: '{event}' is not ITEM:REWARD, such as 42:3.5") from None
