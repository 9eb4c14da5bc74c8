"""Exit rules: when a user leaves (method.md section 2). Built from logs and features alone.

A rule maps the last N items, int64 [B, N] with -1 = none, and candidate items, int64 [B, A],
to bool [B, A]: would this item make the user leave?
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from darlr.config import SessionConfig
from darlr.data.log import InteractionLog
from darlr.errors import ConfigError

Exit = Callable[[Tensor, Tensor], Tensor]
WORD = 63  # bits used of an int64: the sign bit stays clear


def never(recent: Tensor, items: Tensor) -> Tensor:
    """No exit rule: sessions end at turn T only."""
    return torch.zeros_like(items, dtype=torch.bool)


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


def category_exit(bits: Tensor, threshold: float) -> Exit:
    """Leave when any category of the item occurred more than `threshold` times among the recent items.

    bits: int64 [I, words] from `category_bits`. An item without categories never makes a user leave.
    """
    if threshold < 0:
        raise ConfigError(f"option session.threshold: a category exit needs 0 or more, not {threshold}")

    def rule(recent: Tensor, items: Tensor) -> Tensor:
        shown = bits[recent.clamp(min=0)].masked_fill((recent < 0)[..., None], 0)  # [B, N, W]
        wanted = bits[items]  # [B, A, W]
        at_least = [torch.zeros_like(shown[:, 0]) for _ in range(int(threshold) + 1)]
        for newest in shown.unbind(1):  # saturating bit-sliced count over the N recent items
            for level in range(int(threshold), 0, -1):
                at_least[level] = at_least[level] | (at_least[level - 1] & newest)
            at_least[0] = at_least[0] | newest
        over = wanted & at_least[-1][:, None, :]
        return (over != 0).any(-1)

    return rule


def distance_exit(vectors: Tensor, threshold: float) -> Exit:
    """Leave when the Euclidean distance to any recent item is below `threshold`.

    vectors: float32 [I, d], from item features. With threshold 0 the rule never fires.
    """
    if threshold <= 0:
        return never

    def rule(recent: Tensor, items: Tensor) -> Tensor:
        there = vectors[recent.clamp(min=0)]  # [B, N, d]
        # [B, A, N]; the matrix-product form would put equal vectors a little apart
        distance = torch.cdist(vectors[items], there, compute_mode="donot_use_mm_for_euclid_dist")
        close = (distance < threshold) & (recent >= 0)[:, None, :]
        return close.any(-1)

    return rule


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


def resolve(config: SessionConfig, log: InteractionLog) -> SessionConfig:
    """Replace `exit = auto` by what the data set names."""
    return replace(config, exit=log.exit) if config.exit == "auto" else config


def build_exit(config: SessionConfig, log: InteractionLog, device: str = "cpu") -> Exit:
    """The rule that `config` names (resolved or not), on `device`.

    Raises ConfigError when the log lacks what the rule needs.
    """
    config = resolve(config, log)
    if config.exit == "none":
        return never
    if config.exit == "distance":
        return distance_exit(feature_vectors(log).to(device), config.threshold)
    codes = log.category_codes()
    if codes is None:
        raise ConfigError("option session.exit: a category exit needs an item category, and this data set has none")
    n_categories = int(codes.max(initial=-1)) + 1
    return category_exit(category_bits(torch.tensor(codes, device=device), n_categories), config.threshold)
