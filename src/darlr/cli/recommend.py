"""`darlr recommend`: items for one user."""

import json
import math
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from darlr.cli.options import Recommend
from darlr.errors import ConfigError
from darlr.evaluation.numbers import style
from darlr.experiments.progress import say
from darlr.io.text import one_line
from darlr.serving.recommender import load_policy


def run(options: Recommend) -> None:
    """Print the best next items for a user."""
    history = [parse(event) for event in options.history]
    found = load_policy(options.run).recommend(options.user, options.count, history)
    if options.json:
        print(json.dumps([asdict(one) for one in found], allow_nan=False))
    else:
        table = Table("rank", "item", "probability")
        form = style([one.probability for one in found], least=3)
        for rank, one in enumerate(found, start=1):
            table.add_row(str(rank), Text(one_line(str(one.item)), overflow="fold"), f"{one.probability:{form}}")
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
