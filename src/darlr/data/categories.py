"""The category sets of items as bit masks, which exit rules compare."""

import torch
from torch import Tensor

from darlr.data.log import InteractionLog

WORD = 63  # bits used of an int64: the sign bit stays clear


def category_bits(codes: Tensor, n_categories: int) -> Tensor:
    """Category sets as bit masks: int64 [I, most] padded with -1 -> int64 [I, words]."""
    words = max(1, -(-n_categories // WORD))
    bits = torch.zeros((codes.shape[0], words), dtype=torch.int64, device=codes.device)
    for column in codes.unbind(1):  # 1 to 4 columns, not items
        present = column >= 0
        code = column.clamp(min=0)
        word = (code // WORD)[:, None]
        bit = torch.where(present, torch.ones_like(code) << (code % WORD), 0)[:, None]
        bits.scatter_(1, word, bits.gather(1, word) | bit)
    return bits


def log_category_bits(log: InteractionLog) -> Tensor | None:
    """Category sets of the log's items as bit masks, int64 [I, words]; None where it has no categories."""
    codes = log.category_codes()
    if codes is None:
        return None
    return category_bits(torch.tensor(codes), int(codes.max(initial=-1)) + 1)
