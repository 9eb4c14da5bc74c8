"""Features of items for computation: categories as bit masks, which exit rules compare, and all features as vectors."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.errors import ConfigError

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


def hot(codes: NDArray[np.int64]) -> Tensor:
    """Which item has which category, as 0 and 1: int64 [I, most] padded with -1 -> float32 [I, C]."""
    member = np.zeros((len(codes), int(codes.max(initial=-1)) + 2), np.float32)
    np.put_along_axis(member, codes, 1.0, axis=1)  # -1 lands in the last column
    return torch.from_numpy(np.ascontiguousarray(member[:, :-1]))


def log_category_bits(log: InteractionLog) -> Tensor | None:
    """Category sets of the log's items as bit masks, int64 [I, words]; None where it has no categories."""
    codes = log.category_codes()
    if codes is None:
        return None
    return category_bits(torch.tensor(codes), int(codes.max(initial=-1)) + 1)


def feature_vectors(log: InteractionLog) -> Tensor:
    """Item features as float32 [I, d]: one-hot for categories, scaled to 0..1 for numbers (missing = 0)."""
    parts = []
    for column in log.item_features:
        values = np.asarray(column.values)
        if column.kind == "numeric":
            known = values[~np.isnan(values)]
            low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
            parts.append(np.nan_to_num((values - low) / max(high - low, 1e-12))[:, None])
            continue
        codes = values[:, None] if values.ndim == 1 else values
        hot = np.zeros((log.n_items, len(column.vocabulary) + 1))
        np.put_along_axis(hot, codes % hot.shape[1], 1.0, axis=1)  # -1 lands in the last column
        parts.append(hot[:, :-1])
    if not parts:
        raise ConfigError("option session.exit: a distance exit needs item features, and this data set has none")
    return torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)
