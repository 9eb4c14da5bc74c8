"""Options of an update: new events for a trained run."""

from dataclasses import dataclass

from darlr.options.checks import at_least, not_negative, require


@dataclass(frozen=True)
class UpdateConfig:
    """How a run learns from new events."""

    epochs: int = 2
    """Number of epochs that the agents learn for, from where the run's own ended."""
    world_epochs: int = 5
    """Largest number of epochs of the world model. Held-out new events end its fit sooner."""
    replay: float = 4.0
    """Number of old events that the world model learns from beside each new one. 0 replays none, and forgets."""
    gate: float = 0.2
    """Share of the new events, the last ones, that the update does not learn from. They compare it with the run that
    it continues. The next update learns from them."""

    def __post_init__(self) -> None:
        at_least(1, self, ("epochs", "world_epochs"), "update")
        not_negative(self, ("replay",), "update")
        require(0 < self.gate < 1, "update.gate", f"must be above 0 and below 1, not {self.gate:g}")
