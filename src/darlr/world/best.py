"""The places of the largest scores of long rows."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 16  # scores of which only the largest is compared at first


def top(scores: Float[Tensor, "B n"], count: int) -> Int[Tensor, "B count"]:
    """The places of the `count` largest scores of each row, in any order."""
    if scores.device.type != "cpu" or count >= scores.shape[1]:
        return scores.topk(count, dim=1, sorted=False).indices
    first = scores.shape[1] - count  # NumPy's partition by vector instructions takes a quarter of the time of topk
    return torch.from_numpy(np.argpartition(scores.detach().numpy(), first, 1)[:, first:].copy())


def largest(scores: Float[Tensor, "B I"], count: int) -> Int[Tensor, "B count"]:
    """The same for long rows: the largest scores are among the blocks with the largest maxima."""
    n_items = scores.shape[1]
    blocks = n_items // BLOCK
    if blocks <= 2 * count:
        return scores.topk(count, dim=1, sorted=False).indices
    place = torch.arange(BLOCK, device=scores.device) * blocks  # a block is every blocks-th item: rows stay vectorised
    first = top(scores[:, : BLOCK * blocks].view(len(scores), BLOCK, blocks).amax(1), count)
    rest = torch.arange(BLOCK * blocks, n_items, device=scores.device).expand(len(scores), -1)
    candidates = torch.cat([(first[:, :, None] + place).flatten(1), rest], 1)
    return candidates.gather(1, top(scores.gather(1, candidates), count))
