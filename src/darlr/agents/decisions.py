"""Past decisions of an agent, evaluated again by its current networks for an update."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from darlr.agents.actor_critic import Actor, AllActions, Candidates, forbid

# The size of a chunk, in numbers: 2 MB, which about fills a core's caches, or a part of a GPU's memory.
CHUNK = {"cpu": 1 << 19, "cuda": 1 << 26}


@dataclass(frozen=True)
class Decisions:
    """N past decisions, evaluated by the current networks under the mask of the time of acting.

    actor: the layer from hidden, float32 [N, h], to logits; all [N, A] of them never exist at once. action: the one
    taken, int64 [N]; value: float32 [N]; excluded: forbidden actions, int64 [N, m], padded with -1. offset: what else
    the logits of a slice of rows hold, float32 [n, A], without gradient. pool: where each of E groups of rows had C
    candidates only, int64 [E, C]; action and excluded are then columns of it.
    """

    actor: Actor
    hidden: Float[Tensor, "N h"]
    value: Float[Tensor, " N"]
    action: Int[Tensor, " N"]
    excluded: Int[Tensor, "N m"]
    offset: Callable[[slice], Tensor] | None = None
    pool: Int[Tensor, "E C"] | None = None

    def chunks(self) -> Iterator[tuple[slice, AllActions | Candidates]]:
        """Slices of rows that fit the cache, and the layer that gives their logits."""
        (actions, width), rows = self.actor.weight.shape, self.hidden.shape[0]
        chunk = CHUNK.get(self.hidden.device.type, CHUNK["cpu"])
        if self.pool is None:
            layer = self.actor.layer()
            yield from ((part, layer) for part in _parts(rows, actions, chunk))
            return
        groups, candidates = self.pool.shape
        row = rows // groups
        for part in _parts(groups, candidates * width, chunk):
            yield slice(part.start * row, part.stop * row), self.actor.layer(self.pool[part])

    def logits(self) -> Float[Tensor, "N A"]:
        """All logits under the mask of the time of acting; [N, C] where there are candidates."""
        return self.masked(self.actor.layer(self.pool).logits(self.hidden), slice(None))

    def masked(self, logits: Float[Tensor, "n A"], rows: slice) -> Float[Tensor, "n A"]:
        """The logits of a slice of rows with the offset and the mask of the time of acting."""
        if self.offset is not None:
            logits = logits + self.offset(rows)
        return forbid(logits, self.excluded[rows])


def _parts(rows: int, numbers: int, chunk: int) -> Iterator[slice]:
    """Slices of `rows`, equal to one row, of about `chunk` numbers each; numbers: of a row."""
    count = max(1, min(rows, -(-rows * numbers // chunk)))
    edges = [rows * n // count for n in range(count + 1)]
    return map(slice, edges[:-1], edges[1:])
