"""Data-parallel training: the workers, processes on one machine or several, train one learner together.

Every worker holds the whole learner and draws the random numbers of all streams, so one worker and several draw the
same. Each plays its slice of the streams, and then all hold the records of all streams. Each evaluates its slice of
every minibatch, and the gradients are added up. Everything else follows from what all workers hold, so their weights,
written cells (Eq. 16) and metrics stay alike. `experiments.workers` starts the processes.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from safetensors.torch import load, save
from torch import Tensor, distributed, nn

from darlr.errors import MachineError
from darlr.io.tensors import separate

T = TypeVar("T")


class LostWorkerError(MachineError):
    """The connection to another worker has ended."""


@dataclass(frozen=True)
class Team:
    """Worker number `rank` of `size`. One worker alone computes everything, and nothing is sent.

    device: what the tensors that are sent must be on. Methods that send raise LostWorkerError where a worker has ended.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def share(self, count: int, group: int = 1) -> tuple[slice, float]:
        """This worker's slice of `count` rows, and the weight of a mean over it in the mean over all rows.

        group: the number of neighbouring rows that stay together. Without a row of its own, a worker computes a group
        at weight 0.
        """
        first, last = (count // group * rank // self.size * group for rank in (self.rank, self.rank + 1))
        return (slice(first, last), (last - first) / count) if last > first else (slice(0, group), 0.0)

    def gathered(self, record: T, streams: int) -> T:
        """The records of all streams, from the worker's own: a nested dataclass of tensors.

        streams: the number of all streams. Tensors are [L * b, ...] for L moments of the b own streams, and become
        [L * streams, ...].
        """
        if self.size == 1:
            return record
        slices = [Team(rank, self.size).share(streams)[0] for rank in range(self.size)]
        sizes = [one.stop - one.start for one in slices]
        count, leaves = sizes[self.rank], list(_leaves(record))
        # All numbers of a stream become one row of bytes, so that everything is sent at once.
        rows = [_by_stream(leaf, count) for leaf in leaves]
        sent = torch.cat(rows, 1)
        sent = torch.cat([sent, sent.new_zeros(max(sizes) - count, sent.shape[1])])
        received = [torch.empty_like(sent) for _ in sizes]
        with _connected():
            distributed.all_gather(received, sent)
        whole = torch.cat([part[:size] for part, size in zip(received, sizes, strict=True)])
        parts = iter(zip(leaves, torch.split(whole, [row.shape[1] for row in rows], 1), strict=True))

        def of_all(_: Tensor) -> Tensor:
            leaf, part = next(parts)
            moments = len(leaf) // count
            by_moment = part.view(streams, moments, part.shape[1] // moments).transpose(0, 1)
            numbers: Tensor = by_moment.clone(memory_format=torch.contiguous_format).flatten().view(leaf.dtype)
            return numbers.view(moments * streams, *leaf.shape[1:])

        return _mapped(record, of_all)

    def add_gradients(self, networks: nn.Module, weight: float) -> None:
        """Replace the gradients by the sum over workers of their weighted gradients. weight: as `share` gives it."""
        if self.size == 1:
            return
        parameters = [parameter for parameter in networks.parameters() if parameter.grad is not None]
        flat = torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])
        total = self.mean(flat, weight)
        for parameter, part in zip(parameters, torch.split(total, [one.numel() for one in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)

    def mean(self, values: Tensor, weight: float) -> Tensor:
        """The sum over workers of their weighted values: the mean over all rows, from means over slices."""
        if self.size == 1:
            return values
        total = values * weight
        with _connected():
            distributed.all_reduce(total)
        return total

    def shared(self, tensors: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """The tensors of worker 0, on the CPU; others give None. One worker alone gets its own."""
        content = b"" if tensors is None else save(separate(tensors))
        size = torch.tensor(len(content), device=self.device)
        with _connected():
            distributed.broadcast(size, 0)
            sent = torch.empty(int(size), dtype=torch.uint8, device=self.device)
            if tensors is not None:
                sent.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
            distributed.broadcast(sent, 0)
        return load(sent.cpu().numpy().tobytes())


ALONE = Team()
Join = Callable[[], Team]
"""Connects this worker with the others, and waits for them."""


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LostWorkerError("the connection to another worker is lost") from error


def _by_stream(leaf: Tensor, count: int) -> Tensor:
    """The bytes of [L * count, ...] by stream, uint8 [count, L * bytes]."""
    moments, width = len(leaf) // count, math.prod(leaf.shape[1:]) * leaf.element_size()
    of_moments = leaf.reshape(-1).view(torch.uint8).view(moments, count, width)
    return of_moments.transpose(0, 1).reshape(count, moments * width)


def _leaves(record: Any) -> Iterator[Tensor]:
    """The tensors of a nested dataclass, in order."""
    if isinstance(record, Tensor):
        yield record
    elif record is not None:
        for value in vars(record).values():
            yield from _leaves(value)


def _mapped(record: T, change: Callable[[Tensor], Tensor]) -> T:
    """The same nested dataclass with its tensors changed, in order."""
    if record is None:
        return record
    if isinstance(record, Tensor):
        return change(record)  # type: ignore[return-value]
    return type(record)(**{name: _mapped(value, change) for name, value in vars(record).items()})
