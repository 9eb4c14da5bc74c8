"""Where a training run leaves its log lines and checkpoints: in memory, or in a folder (`darlr.experiments.runs`)."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from darlr.io.checkpoint import Saved


class Sink(Protocol):
    """What a training run writes to, and what it continues from."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The log lines so far, one an epoch."""
        ...

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one log line."""
        ...

    def save_checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint; the lines that were logged so far belong to it."""
        ...

    def load_checkpoint(self) -> Saved | None:
        """The newest checkpoint, or None before the first one."""
        ...

    def save_best(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the weights of the best policy so far."""
        ...

    def load_best(self) -> Saved:
        """The weights of the best policy so far; raises an error where there are none."""
        ...


class Memory:
    """A sink in memory. It holds copies, so that training which goes on changes nothing in them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._checkpoint: Saved | None = None
        self._best: Saved | None = None

    def log(self, row: Mapping[str, Any]) -> None:
        """See `Sink`."""
        self.rows.append(dict(row))

    def save_checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Sink`."""
        self._checkpoint = _copied(tensors), {**state, "rows": len(self.rows)}

    def load_checkpoint(self) -> Saved | None:
        """See `Sink`; lines that were logged after the checkpoint are dropped, as their epoch is trained again."""
        if self._checkpoint is None:
            self.rows.clear()
            return None
        tensors, state = self._checkpoint
        del self.rows[state["rows"] :]
        return _copied(tensors), state  # copies again: an optimiser trains on in the tensors that it is given

    def save_best(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Sink`."""
        self._best = _copied(weights), dict(state)

    def load_best(self) -> Saved:
        """See `Sink`; ValueError where there are none."""
        if self._best is None:
            raise ValueError("no policy was kept yet")
        return self._best


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
