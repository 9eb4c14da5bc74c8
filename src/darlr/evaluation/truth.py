"""The ground truth: complete rewards. Evaluation plays sessions on them, and nothing that learns may read them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.sets.registry import SETS
from darlr.data.sets.synthetic import generate
from darlr.data.sources import raw_folder
from darlr.data.store import MANIFEST, is_prepared, read_manifest, write_manifest
from darlr.errors import DataError
from darlr.evaluation.random_feedback import RandomFeedback, unlogged
from darlr.io.tensors import read_tensors, write_tensors

FILE = "truth.safetensors"
REMEDY = "prepare the data set again"


@dataclass(frozen=True)
class Truth:
    """Complete rewards of some users and items.

    users: int64 [Ue], items: int64 [Ie], codes of the scope (darlr.data.scope); reward: float32 or float64 tensor
    [Ue, Ie], in the log's own unit.
    notes: sentences on rewards that were not observed, on their quality, and on repairs. Every table shows the first.
    random: the feedback of its users on items that were drawn for them at random, where there is such feedback.
    """

    users: IntArray
    items: IntArray
    reward: Tensor
    notes: tuple[str, ...] = ()
    random: RandomFeedback | None = None

    def __post_init__(self) -> None:
        if self.reward.shape != (len(self.users), len(self.items)):
            sides = (len(self.users), len(self.items))
            raise DataError(f"truth: rewards are {tuple(self.reward.shape)}, users and items {sides}")

    def beside(self, log: InteractionLog) -> "Truth":
        """The same truth without the random feedback on pairs that `log` (scope codes) holds."""
        if self.random is None:
            return self
        return replace(self, random=unlogged(self.random, log, self.users, self.items))


def load_truth(name_or_folder: str, raw: Path | None = None, options: Any = None) -> Truth | None:
    """The truth of a source (see darlr.data.sources), or None where none is known.

    The matrices that darlr completes itself (kuairand, yahoo; coat without its file) are fitted at each call.
    options: those of the data set (darlr.data.sets.registry). Other data sets ignore them. Raises DataError when a
    truth file is damaged or belongs to other data.
    """
    if name_or_folder not in SETS:
        return read_truth(Path(name_or_folder)) if has_truth(name_or_folder) else None
    read = _reader(name_or_folder)
    return None if read is None else read(raw or raw_folder(), SETS[name_or_folder].own(options))


def _reader(name: str) -> Callable[[Path, Any], Truth] | None:
    """What reads the truth of a data set that is known by name, given the raw folder and the data set's options."""
    if name == "synthetic":
        return lambda _, config: whole(torch.from_numpy(generate(config).reward))
    from darlr.evaluation.public_truths import TRUTHS  # the readers of files, which are slow to import

    return TRUTHS.get(name)


def has_truth(name_or_folder: str) -> bool:
    """Whether a source (see darlr.data.sources) comes with a truth. The manifest is read, and the truth is not.

    Raises DataError where a truth file is there that the manifest does not name.
    """
    folder = Path(name_or_folder)
    if name_or_folder in SETS:
        return _reader(name_or_folder) is not None
    if not is_prepared(folder):
        return False
    named, path = read_manifest(folder).get("truth") is not None, folder / FILE
    if path.exists() and not named:
        raise DataError(f"{path}: no part of this data set ({MANIFEST} names no truth); remove it, or {REMEDY}")
    return named


def whole(reward: Tensor) -> Truth:
    """Rewards [U, I] of every user and item."""
    users, items = reward.shape
    return Truth(np.arange(users, dtype=np.int64), np.arange(items, dtype=np.int64), reward)


def write_truth(truth: Truth, folder: Path) -> None:
    """Write truth.safetensors into a prepared folder, tied to its checksum, and name it in dataset.json.

    Each file is written atomically. Raises DataError when codes lie outside the scope, or when rewards are not finite.
    """
    manifest = read_manifest(folder)
    _check(truth, manifest, folder / FILE)
    tensors = {
        "users": torch.from_numpy(truth.users),
        "items": torch.from_numpy(truth.items),
        "reward": truth.reward if truth.reward.dtype == torch.float64 else truth.reward.float(),
    }
    if truth.random is not None:
        tensors |= {"random_cell": truth.random.cell, "random_reward": truth.random.reward}
    write_tensors(folder / FILE, tensors, {"checksum": manifest["checksum"], "notes": list(truth.notes)})
    write_manifest(folder, {**manifest, "truth": FILE})


def read_truth(folder: Path) -> Truth:
    """Inverse of `write_truth`; raises DataError when the file is missing, damaged or belongs to other data."""
    path, manifest = folder / FILE, read_manifest(folder)
    try:
        tensors, metadata = read_tensors(path, REMEDY, DataError, "truth")
        if metadata.get("checksum") != manifest["checksum"]:
            raise DataError(f"{path}: belongs to another data set than {folder}; {REMEDY}")
        random = None
        if "random_cell" in tensors:
            random = RandomFeedback(tensors["random_cell"], tensors["random_reward"], len(tensors["items"]))
        users, items = tensors["users"].numpy(), tensors["items"].numpy()
        truth = Truth(users, items, tensors["reward"], tuple(metadata["notes"]), random)
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing, although {MANIFEST} says that there is a truth; {REMEDY}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error!r}); {REMEDY}") from error
    _check(truth, manifest, path)
    return truth


def _check(truth: Truth, manifest: dict[str, Any], path: Path) -> None:
    """Raise DataError unless codes are distinct and in the scope, and rewards are finite."""
    block = manifest["block"]
    for side, codes in (("users", truth.users), ("items", truth.items)):
        count = len(set(block[side])) if block else manifest["counts"][side]
        inside = codes.dtype == np.int64 and codes.ndim == 1 and ((codes >= 0) & (codes < count)).all()
        if not inside or len(np.unique(codes)) != len(codes):
            raise DataError(f"{path}: codes of {side} must be distinct and from 0 to {count - 1}; {REMEDY}")
    if not bool(truth.reward.isfinite().all()):
        raise DataError(f"{path}: a reward is NaN or infinite; {REMEDY}")
    cells = truth.random.cell if truth.random is not None else truth.reward.new_empty(0)
    if len(cells) and not 0 <= int(cells.min()) <= int(cells.max()) < truth.reward.numel():
        raise DataError(f"{path}: random feedback lies outside the users and items of the truth; {REMEDY}")
