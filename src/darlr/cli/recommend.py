"""`darlr recommend`: items for one user."""

import json
import math
import warnings

from rich.console import Console
from rich.table import Table
from rich.text import Text

from darlr.cli.options import Recommend
from darlr.errors import ConfigError
from darlr.evaluation.numbers import style
from darlr.experiments.progress import say
from darlr.io.text import one_line
from darlr.serving.folder import load_policy


def run(options: Recommend) -> None:
    """Print the best next items for a user."""
    if options.count < 1:
        raise ConfigError(f"option count: must be at least 1, not {options.count}")
    history = [parse(event) for event in options.history]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = load_policy(options.run).recommend(options.user, options.count, history=history)
    for warning in caught:
        say(f"warning: {warning.message}")
    if not answer["known"].all():
        say(f"user {options.user!r} is not in the log; this is the answer for a new user with the history given")
    found = answer.select("item", "score").rows()
    if options.json:
        print(json.dumps([{"item": item, "probability": chance} for item, chance in found], allow_nan=False))
    else:
        table = Table("rank", "item", "probability")
        form = style([chance for _, chance in found], least=3)
        for rank, (item, chance) in enumerate(found, start=1):
            table.add_row(str(rank), Text(one_line(str(item)), overflow="fold"), f"{chance:{form}}")
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
