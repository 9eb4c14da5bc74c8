"""Approximate nearest neighbours by cosine, for more users than can be compared with each other (extra `ann`)."""

import math
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any
from warnings import warn

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.errors import DarlrWarning, MachineError, RunError
from darlr.io.tensors import read_tensors, write_tensors

MANY = 50_000  # above this number of users or items no work may grow with the square of their number
PROBES = 64  # the lists that are searched for each user
TRAINED = 40  # users for each list from which the lists are made
BATCH = 8192  # users that are searched at one time

Neighbours = tuple[Int[Tensor, "U k"], Float[Tensor, "U k"]]


def searched_once(unit: Float[Tensor, "U F"], k: int, folder: Path | None) -> Neighbours:
    """`approximately_nearest`, kept in a file of the folder of the world model, if there is one.

    The name of the file is a hash of the vectors and of k, so that other vectors never get these neighbours. A damaged
    file is replaced. Where the folder cannot be written to, a DarlrWarning says so.
    """
    if folder is None:
        return approximately_nearest(unit, k)
    content = blake2b(unit.detach().cpu().contiguous().numpy().data, digest_size=8)
    content.update(f"{tuple(unit.shape)} {k}".encode())
    path = folder / f"neighbours-{content.hexdigest()}.safetensors"
    try:
        kept, _ = read_tensors(path, "delete it", what="file of neighbours")
        return kept["index"].long().to(unit.device), kept["cosine"].to(unit.device)
    except (FileNotFoundError, RunError, KeyError):
        index, cosine = approximately_nearest(unit, k)
    try:
        write_tensors(path, {"index": index.int(), "cosine": cosine})
    except RunError as error:
        warn(f"the next command searches the neighbours again: {error}", DarlrWarning, stacklevel=2)
    return index, cosine


def approximately_nearest(unit: Float[Tensor, "U F"], k: int) -> Neighbours:
    """About the k other users of the largest cosine, best first, and exact cosines. unit: rows of length 1 or 0.

    faiss divides the users into lists of users alike and searches the PROBES lists nearest to a user; vectors are held
    in 8 bits a number. Most of the true neighbours are found, and not all. The same vectors give the same neighbours.
    Raises MachineError without faiss.
    """
    faiss = _faiss()
    vectors = unit.detach().cpu().float().contiguous().numpy()
    users, width = vectors.shape
    index = faiss.index_factory(width, f"IVF{_lists(users)},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.nprobe = 0, PROBES
    chosen = torch.randperm(users, generator=torch.Generator().manual_seed(0))[: TRAINED * index.nlist].numpy()
    index.train(vectors[chosen])
    index.add(vectors)
    found, cosines = [], []
    for some in torch.split(torch.arange(users), BATCH):
        _, near = index.search(vectors[some.numpy()], k + 1)
        others, cosine = _others(unit.cpu(), some, torch.from_numpy(near), k)
        found.append(others)
        cosines.append(cosine)
    return torch.cat(found).to(unit.device), torch.cat(cosines).to(unit.device)


def _others(unit: Tensor, users: Tensor, near: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each user's candidates other than the user, with exact cosines.

    Where the lists held fewer, the following users fill up: a user must have k neighbours.
    """
    filled = (users[:, None] + 1 + torch.arange(near.shape[1])) % len(unit)
    near = torch.where(near < 0, filled, near)
    rows = unit.index_select(0, near.flatten()).view(*near.shape, -1)
    cosine = torch.bmm(rows, unit[users][:, :, None]).squeeze(-1).masked_fill_(near == users[:, None], -torch.inf)
    best = cosine.topk(k, dim=1)
    return near.gather(1, best.indices), best.values


def _lists(users: int) -> int:
    return max(1, round(4 * math.sqrt(users)))


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise MachineError(
            f"neighbours among more than {MANY:,} users need faiss: install it with pip install 'darlr[ann]'"
        ) from error
