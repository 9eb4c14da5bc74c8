"""User and item features as rows of an embedding table."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import FeatureColumn


@dataclass(frozen=True)
class Side:
    """The fields of one side, n users or items; field 0 is the id.

    codes: int64 [n, S], rows of the side's embedding table, the first n of which are the ids. weights: float32 [n, S],
    the weights of these rows: 1 / m for each of m values, the standardised number for a numeric feature, 0 for padding.
    field: int64 [S], the field of each slot. n_codes, n_fields: the numbers of rows and of fields.
    """

    codes: Tensor
    weights: Tensor
    field: Tensor
    n_codes: int
    n_fields: int


def encode(n: int, columns: tuple[FeatureColumn, ...], known: int | None = None) -> Side:
    """The fields of n users or items: the id, then each feature column. A missing value has its own code.

    known: how many of them standardise the numeric features, the first ones; None means all.
    """
    codes, weights = [np.arange(n)[:, None]], [np.ones((n, 1))]
    fields, next_code = [0], n
    for number, column in enumerate(columns, start=1):
        if column.kind == "numeric":
            slot_codes, slot_weights, used = _numeric(np.asarray(column.values, dtype=np.float64), known)
        else:
            values = np.asarray(column.values, dtype=np.int64)
            slot_codes, slot_weights, used = _categorical(values.reshape(n, -1), len(column.vocabulary))
        codes.append(slot_codes + next_code)
        weights.append(slot_weights)
        fields += [number] * slot_codes.shape[1]
        next_code += used
    slots, weight = np.concatenate(codes, axis=1), np.concatenate(weights, axis=1).astype(np.float32)
    return Side(torch.from_numpy(slots), torch.from_numpy(weight), torch.tensor(fields), next_code, len(columns) + 1)


def _categorical(values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The slots of values [n, most], -1 for none: equal weights of those present, or code `size` where none is."""
    present = values >= 0
    weights = present / np.maximum(present.sum(1, keepdims=True), 1)
    codes = np.where(present, values, size)
    weights[:, 0] = np.where(present.any(1), weights[:, 0], 1.0)
    return codes, weights, max(size, int(values.max(initial=-1)) + 1) + 1


def _numeric(values: np.ndarray, first: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Two slots: the standardised number on code 0, and code 1 where the number is missing."""
    known = ~np.isnan(values)
    given = values[:first][known[:first]]
    mean = given.mean() if len(given) else 0.0
    spread = given.std() if len(given) else 0.0
    scaled = np.where(known, (np.nan_to_num(values) - mean) / (spread if spread > 0 else 1.0), 0.0)
    codes = np.broadcast_to(np.array([0, 1]), (len(values), 2))
    return codes, np.stack([scaled, 1.0 * ~known], axis=1), 2
