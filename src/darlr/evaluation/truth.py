"""The ground truth: complete rewards, on which evaluation plays sessions. Nothing that learns may read them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.item_features import hot
from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import places
from darlr.data.sets.registry import SETS
from darlr.data.sets.synthetic import RANGE, known_factors, world_categories
from darlr.data.sources import raw_folder
from darlr.data.store import MANIFEST, is_prepared, read_manifest, write_manifest
from darlr.errors import DataError
from darlr.evaluation.true_rewards import TrueRewards
from darlr.io.tensors import read_tensors, write_tensors
from darlr.options import SyntheticConfig
from darlr.simulation.fatigue import Fatigue
from darlr.world.estimates import Dense, Estimate, estimate_of
from darlr.world.views import Some, tabled

FILE = "truth.safetensors"
REMEDY = "prepare the data set again"


@dataclass(frozen=True)
class RandomFeedback:
    """Observed feedback on items that were drawn for users at random. A repeated pair counts once, with its mean.

    cell: int64 [n], row * columns + column of the truth, rising. reward: float32 [n]. columns: Ie.
    """

    cell: Tensor
    reward: Tensor
    columns: int

    def of_rows(self, place: IntArray) -> "RandomFeedback | None":
        """Return the feedback of some rows. place: int64 [Ue], the new row of each, -1 for the others."""
        row = torch.from_numpy(place)[self.cell // self.columns]
        kept = row >= 0
        cell, order = (row * self.columns + self.cell % self.columns)[kept].sort()
        return RandomFeedback(cell, self.reward[kept][order], self.columns) if len(cell) else None

    def tally(self, row: Tensor, column: Tensor) -> NDArray[np.float64]:
        """Sum the feedback on shown items, the number of these items, and the turns of each session, float64 [B, 3].

        row: users, int64 [B]. column: the items shown, int64 [B, T], -1 after the end. The first two sums are divided
        by the number of the user's random items, so that all users have equal weights.
        """
        wanted = row[:, None] * self.columns + column
        place = torch.searchsorted(self.cell, wanted).clamp(max=len(self.cell) - 1)
        drawn = (self.cell[place] == wanted) & (column >= 0)
        count = torch.bincount(self.cell // self.columns, minlength=int(row.max()) + 1)[row].clamp(min=1)
        total = (self.reward[place].double() * drawn).sum(1) / count
        return torch.stack([total, drawn.sum(1) / count, (column >= 0).sum(1).double()], 1).numpy()


@dataclass(frozen=True)
class Truth:
    """Complete rewards of some users and items.

    users: int64 [Ue], items: int64 [Ie], codes of the scope (darlr.data.scope). reward: a table, float32 or float64
    [Ue, Ie], or what computes its entries on demand, in the log's own unit. notes: sentences on rewards that were not
    observed and on their quality; every table shows the first. random: feedback of its users on items that were drawn
    for them at random, if any. fatigue: how rewards fall in a session as categories repeat, if they do.
    """

    users: IntArray
    items: IntArray
    reward: Tensor | Estimate
    notes: tuple[str, ...] = ()
    random: RandomFeedback | None = None
    fatigue: Fatigue | None = None

    def __post_init__(self) -> None:
        sides = (len(self.users), len(self.items))
        if self.reward.shape != sides:
            raise DataError(f"truth: rewards are {tuple(self.reward.shape)}, users and items {sides}")
        if isinstance(self.reward, Estimate) and not np.array_equal(self.items, np.arange(sides[1])):
            raise DataError("truth: rewards on demand must be those of all items, in the order of their codes")

    def beside(self, log: InteractionLog) -> "Truth":
        """Return the truth without random feedback on pairs of `log` (scope codes), which a policy may memorise."""
        if self.random is None:
            return self
        kept = torch.from_numpy(~np.isin(self.random.cell.numpy(), _cells(log, self.users, self.items)[1]))
        left = replace(self.random, cell=self.random.cell[kept], reward=self.random.reward[kept])
        return replace(self, random=left if len(left.cell) else None)


def random_feedback(random: InteractionLog, users: IntArray, items: IntArray) -> RandomFeedback | None:
    """Collect the events of `random` on users [Ue] and items [Ie] of a truth, log codes; None without any."""
    inside, cells = _cells(random, users, items)
    cell, place, count = np.unique(cells, return_inverse=True, return_counts=True)
    if not len(cell):
        return None
    reward = np.bincount(place, random.reward[inside]) / count
    return RandomFeedback(torch.from_numpy(cell), torch.from_numpy(reward.astype(np.float32)), len(items))


def _cells(log: InteractionLog, users: IntArray, items: IntArray) -> tuple[NDArray[np.bool_], IntArray]:
    """Mark the events on users and items of a truth, bool [L], and return their cells in it, int64."""
    row, column = places(users, log.n_users)[log.user], places(items, log.n_items)[log.item]
    inside = (row >= 0) & (column >= 0)
    return inside, row[inside] * len(items) + column[inside]


def load_truth(name_or_folder: str, raw: Path | None = None, options: Any = None) -> Truth | None:
    """Return the truth of a source (see darlr.data.sources), or None where none is known.

    The matrices that darlr completes itself (kuairand, yahoo; coat without its file) are fitted at each call.
    options: of the data set (darlr.data.sets.registry). Raises DataError where a truth file is damaged or belongs to
    other data.
    """
    if name_or_folder not in SETS:
        return read_truth(Path(name_or_folder)) if has_truth(name_or_folder) else None
    read = _reader(name_or_folder)
    return None if read is None else read(raw or raw_folder(), SETS[name_or_folder].own(options))


def _reader(name: str) -> Callable[[Path, Any], Truth] | None:
    """Find the reader of a known data set's truth, which takes the raw folder and the data set's options."""
    if name == "synthetic":
        return lambda _, config: _of_synthetic(config)
    from darlr.evaluation.public_truths import TRUTHS  # it imports the readers of all files, which takes long

    return TRUTHS.get(name)


def has_truth(name_or_folder: str) -> bool:
    """Whether a source has a truth, by its manifest. Raises DataError for a truth file that it does not name."""
    folder = Path(name_or_folder)
    if name_or_folder in SETS:
        return _reader(name_or_folder) is not None
    if not is_prepared(folder):
        return False
    named, path = read_manifest(folder).get("truth") is not None, folder / FILE
    if path.exists() and not named:
        raise DataError(f"{path}: no part of this data set ({MANIFEST} names no truth); remove it, or {REMEDY}")
    return named


def _of_synthetic(config: SyntheticConfig) -> Truth:
    users, *factors = known_factors(config)
    reward = tabled(TrueRewards(*map(torch.from_numpy, factors)))
    fatigue = None
    if config.fatigue:
        fatigue = Fatigue(hot(world_categories(config)), config.recovery, config.fatigue, RANGE[0])
    payoff = reward.table if isinstance(reward, Dense) else reward
    return Truth(users, np.arange(config.items), payoff, fatigue=fatigue)


def whole(reward: Tensor | Estimate) -> Truth:
    """Make a truth of the rewards of all U users and I items."""
    users, items = reward.shape
    return Truth(np.arange(users, dtype=np.int64), np.arange(items, dtype=np.int64), reward)


def part(truth: Truth, rows: IntArray) -> Truth:
    """Return the truth of some of its users, with their random feedback. rows: int64 [n], their rows, each once."""
    place, reward = torch.from_numpy(rows), truth.reward
    some = Some(reward, place.to(reward.device)) if isinstance(reward, Estimate) else reward[place.to(reward.device)]
    random = None if truth.random is None else truth.random.of_rows(places(rows, len(truth.users)))
    return replace(truth, users=truth.users[rows], reward=some, random=random)


def of_users(truth: Truth, users: IntArray) -> Truth:
    """Return the truth of some users of the scope, int64 [n], each with its position in `users` as its code.

    Users whose rewards are not known are left out. Raises DataError where that leaves none.
    """
    place = places(users, max(int(truth.users.max()), int(users.max())) + 1)
    found = part(truth, np.flatnonzero(place[truth.users] >= 0))
    if not len(found.users):
        raise DataError("truth: none of these users has known rewards; hide more users (option split.hidden)")
    return replace(found, users=place[found.users])


def held(truth: Truth) -> dict[str, Tensor]:
    """Return the rewards of a truth as they are stored: a table, or the factors that they are computed from."""
    reward = truth.reward
    if isinstance(reward, TrueRewards):
        return {"user_factors": reward.users, "item_factors": reward.items}
    table = estimate_of(reward).whole()
    return {"reward": table if table.dtype == torch.float64 else table.float()}


def _tired(truth: Truth) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the fatigue of a truth as it is stored: tensors and metadata, empty without any."""
    found = truth.fatigue
    if found is None:
        return {}, {}
    return {"fatigue": found.member}, {"fatigue": [found.recovery, found.strength, found.least]}


def write_truth(truth: Truth, folder: Path) -> None:
    """Write truth.safetensors into a prepared folder, with the folder's checksum, and name it in dataset.json.

    Each file is written atomically. Raises DataError where codes lie outside the scope or rewards are not finite.
    """
    manifest = read_manifest(folder)
    _check(truth, manifest, folder / FILE)
    tensors = {"users": torch.from_numpy(truth.users), "items": torch.from_numpy(truth.items), **held(truth)}
    if truth.random is not None:
        tensors |= {"random_cell": truth.random.cell, "random_reward": truth.random.reward}
    member, numbers = _tired(truth)
    about = {"checksum": manifest["checksum"], "notes": list(truth.notes), **numbers}
    write_tensors(folder / FILE, tensors | member, about)
    write_manifest(folder, {**manifest, "truth": FILE})


def read_truth(folder: Path) -> Truth:
    """Read what `write_truth` wrote. Raises DataError where the file is missing, damaged or belongs to other data."""
    path, manifest = folder / FILE, read_manifest(folder)
    try:
        tensors, metadata = read_tensors(path, REMEDY, DataError, "truth")
        if metadata.get("checksum") != manifest["checksum"]:
            raise DataError(f"{path}: belongs to another data set than {folder}; {REMEDY}")
        users, items = tensors["users"].numpy(), tensors["items"].numpy()
        random = None
        if "random_cell" in tensors:
            random = RandomFeedback(tensors["random_cell"], tensors["random_reward"], len(items))
        factors = [tensors[name] for name in ("user_factors", "item_factors") if "reward" not in tensors]
        reward = TrueRewards(*factors) if factors else tensors["reward"]
        fatigue = Fatigue(tensors["fatigue"], *map(float, metadata["fatigue"])) if "fatigue" in tensors else None
        truth = Truth(users, items, reward, tuple(metadata["notes"]), random, fatigue)
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
    if not all(bool(part.isfinite().all()) for part in held(truth).values()):
        raise DataError(f"{path}: a reward is NaN or infinite; {REMEDY}")
    cells = truth.random.cell if truth.random is not None else torch.empty(0)
    if len(cells) and not 0 <= int(cells.min()) <= int(cells.max()) < len(truth.users) * len(truth.items):
        raise DataError(f"{path}: random feedback lies outside the users and items of the truth; {REMEDY}")
