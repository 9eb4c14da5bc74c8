"""Which policy a run hands over: the best of its start and its epochs, by what it would earn on r_0.

Learning can destroy a good start. What tells is no truth but the world model: the return of greedy sessions on r_0 that
no update has used, of the same users after every epoch (common random numbers).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from darlr.errors import RunError
from darlr.io.checkpoint import read_checkpoint, write_checkpoint

FILE = "best.safetensors"


@dataclass(frozen=True)
class Earned:
    """Mean return of a session. learned: as it is learned, by which policies are ranked; shown: in the log's unit.

    turns: mean length of the sessions.
    """

    learned: float
    shown: float
    turns: float


Judge = Callable[[Any], Earned]  # of a recommender


class Keeper:
    """Judges a recommender after each epoch and keeps the weights of the best so far in the run folder."""

    def __init__(self, folder: Path, judge: Judge, recommender: nn.Module, done: int) -> None:
        """done: the epoch that `recommender` was trained to; at 0 it is the start.

        Raises RunError when an earlier epoch's weights are missing or damaged.
        """
        self.path, self.judge = folder / FILE, judge
        if done:
            self.best: dict[str, Any] = read_best(folder)[1]
            return
        start = judge(recommender)
        self.best = {"epoch": 0, "earned": vars(start), "start": vars(start)}
        self._write(recommender)

    def see(self, epoch: int, recommender: nn.Module) -> Mapping[str, Any]:
        """Judge the policy of this epoch; columns for the log line.

        greedy_return: in the log's unit; greedy_length: turns; greedy_gain: over the start, as it is learned; kept: the
        best epoch so far.
        """
        earned, start = self.judge(recommender), self.best["start"]
        if earned.learned > self.best["earned"]["learned"]:
            self.best = {"epoch": epoch, "earned": vars(earned), "start": start}
            self._write(recommender)
        return {
            "greedy_return": earned.shown,
            "greedy_length": earned.turns,
            "greedy_gain": earned.learned - start["learned"],
            "kept": self.best["epoch"],
        }

    def _write(self, recommender: nn.Module) -> None:
        write_checkpoint(self.path, recommender.state_dict(), self.best)


def read_best(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights that a run hands over, and `epoch`, `earned` and `start`; RunError when there are none."""
    if not (folder / FILE).exists():
        raise RunError(
            f"{folder}: {FILE} is missing, the policy that the run hands over; restore it, or train again in another "
            "folder"
        )
    return read_checkpoint(folder / FILE)
