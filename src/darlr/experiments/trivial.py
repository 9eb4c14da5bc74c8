"""The tables of estimates that trivial rows follow."""

from collections.abc import Sequence

from torch import Tensor

from darlr.experiments.logs import Logs
from darlr.options import TablesConfig
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.models.bias import bias_table
from darlr.world.tables import World


def trivial_tables(logs: Logs, fitted: Sequence[tuple[Logs, World, TablesConfig]]) -> dict[str, list[Tensor]]:
    """Name -> tables [Us, Is]: from the log alone, and from each world model with the split that it was fitted to."""
    return log_tables(logs, [split for split, _, _ in fitted]) | {
        "world-model greedy": [world.reward for _, world, _ in fitted],
        "neighbour-table greedy": [world.neighbour_reward(tables) for _, world, tables in fitted],
    }


def log_tables(logs: Logs, splits: Sequence[Logs]) -> dict[str, list[Tensor]]:
    """Name -> tables [Us, Is] from the log alone: a bias model for each split, or for positives a neighbour table."""
    if logs.catalogue.implicit:
        return {"logged-neighbour greedy": [logged_neighbour_table(logs.fitted, logs.scope)]}
    return {"bias-model list": [bias_table(one.train, one.held_out, one.fitted, one.scope) for one in splits]}
