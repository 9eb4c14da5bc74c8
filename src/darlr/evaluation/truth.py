"""The ground truth: complete rewards that evaluation plays on and nothing that learns may see."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.scope import scope_of
from darlr.data.sets import kuairand, yahoo
from darlr.data.sets.coat import RATINGS, read_coat, read_matrix, read_ratings
from darlr.data.sets.kuairec import TRUTH, kuairec_file, kuairec_folder, read_scale, read_sides
from darlr.data.sets.kuairec_binary import read_kuairec_binary, read_truth_cells
from darlr.data.sets.kuairec_events import WATCH
from darlr.data.sets.kuairec_reward import MOST, clipped
from darlr.data.sets.kuairec_tables import CATEGORIES, USERS
from darlr.data.sets.kuaishou import ITEM, USER, coded
from darlr.data.sets.synthetic import generate
from darlr.data.sources import BUILT_IN, raw_folder
from darlr.data.split import select
from darlr.data.store import MANIFEST, is_prepared, read_manifest, write_manifest
from darlr.data.tabular.number_columns import scan_numbers
from darlr.errors import DataError
from darlr.evaluation.random_feedback import RandomFeedback, random_feedback, unlogged
from darlr.io.tensors import read_tensors, write_tensors
from darlr.options import KuaiRecConfig, SyntheticConfig

FILE = "truth.safetensors"
REMEDY = "prepare the data set again"
COMPLETED = "completed by darlr from feedback on random items alone; not a published matrix"


@dataclass(frozen=True)
class Truth:
    """Complete rewards of an evaluation block.

    users: int64 [Ue], items: int64 [Ie], codes of the scope (darlr.data.scope); reward: float32 or float64 tensor
    [Ue, Ie], in the log's own unit.
    notes: what it is where it was not observed (the first goes into every table), how good, what its reader repaired.
    random: what its users said of items drawn for them at random, where that is known.
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
        """The same for policies that learn from `log` (scope codes): of the random feedback what it does not hold."""
        if self.random is None:
            return self
        return replace(self, random=unlogged(self.random, log, self.users, self.items))


def load_truth(
    name_or_folder: str,
    raw: Path | None = None,
    synthetic: SyntheticConfig | None = None,
    kuairec: KuaiRecConfig | None = None,
    *,
    complete_coat: bool = False,
    given: Path | None = None,
) -> Truth | None:
    """The truth of a source (see darlr.data.sources), or None where none is known.

    Completed matrices of our own (kuairand, yahoo; coat without its pseudo-truth file) are fitted anew at each call.
    complete_coat: one for coat although the file is there. given: yahoo's matrix, in a file, instead of ours.
    Raises DataError when a truth file is damaged or belongs to other data.
    """
    if name_or_folder == "synthetic":
        return whole(torch.from_numpy(generate(synthetic or SyntheticConfig()).reward))
    if name_or_folder == "coat":
        return _coat(raw, complete_coat)
    if name_or_folder in (kuairand.NAME, yahoo.NAME):
        return _of_random_events(name_or_folder, (raw or raw_folder()) / name_or_folder, given)
    if name_or_folder == "kuairec":
        return _watched(kuairec_folder(raw or raw_folder()), kuairec or KuaiRecConfig())
    if name_or_folder == "kuairec_binary":
        return _positives((raw or raw_folder()) / "kuairec_binary")
    return read_truth(Path(name_or_folder)) if has_truth(name_or_folder) else None


def has_truth(name_or_folder: str) -> bool:
    """Whether a source (see darlr.data.sources) comes with a truth, by its manifest; the truth is not read.

    Raises DataError where a truth lies that the manifest does not name.
    """
    folder = Path(name_or_folder)
    if name_or_folder in BUILT_IN or not is_prepared(folder):
        return name_or_folder in BUILT_IN
    told, path = read_manifest(folder).get("truth") is not None, folder / FILE
    if path.exists() and not told:
        raise DataError(f"{path}: no part of this data set ({MANIFEST} names no truth); remove it, or {REMEDY}")
    return told


def whole(reward: Tensor) -> Truth:
    """Rewards [U, I] of every user and item."""
    users, items = reward.shape
    return Truth(np.arange(users, dtype=np.int64), np.arange(items, dtype=np.int64), reward)


def _coat(raw: Path | None, own: bool) -> Truth:
    path = (raw or raw_folder()) / "coat" / "coat_pseudoGT_ratingM.ascii"
    if own or not path.is_file():
        return _completed(random_ratings(raw))
    every = whole(torch.from_numpy(read_ratings(path).astype(np.float32)))
    if not (path.parent / "test.ascii").is_file():
        return every
    return replace(every, random=random_feedback(random_ratings(raw), every.users, every.items))


def _of_random_events(name: str, folder: Path, given: Path | None) -> Truth:
    random, report = {kuairand.NAME: kuairand, yahoo.NAME: yahoo}[name].read_random(folder)
    return _completed(random, report) if given is None else _given(given, random)


def _completed(random: InteractionLog, report: PrepareReport | None = None) -> Truth:
    """Our own matrix: the users with random events, on all items. report: what the reader of the events dropped."""
    from darlr.evaluation.completion import complete  # its solvers take as long to import as a small table to play

    users = np.unique(random.user)
    completion, quality = complete(random)
    dropped = [f"dropped {one.count:,}: {one.reason}" for one in (report.dropped if report else ()) if one.count]
    items = np.arange(random.n_items, dtype=np.int64)
    heard = random_feedback(random, users, items)
    return Truth(users, items, completion.table(users), (COMPLETED, *quality, *dropped), heard)


def _given(path: Path, random: InteractionLog) -> Truth:
    """A matrix of rewards from 1 to 5, a row for each user with random events, a column for each item, by rising id."""
    users = np.unique(random.user)
    rewards = read_matrix(path)
    if rewards.shape != (len(users), random.n_items):
        sides = f"{rewards.shape[0]} x {rewards.shape[1]}"
        raise DataError(
            f"{path}: {sides} values; the users of the test file x songs are {len(users)} x {random.n_items}"
        )
    wrong = np.argwhere(~((rewards >= RATINGS[0]) & (rewards <= RATINGS[1])))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(f"{path}, row {row + 1}, column {column + 1}: {rewards[row, column]:g} is not a rating 1 to 5")
    items = np.arange(random.n_items, dtype=np.int64)
    heard = random_feedback(random, users, items)
    return Truth(users, items, torch.from_numpy(rewards), (f"given in the file {path.name}",), heard)


def _positives(folder: Path) -> Truth:
    """1 where the fully observed block has a positive, else 0."""
    log, _ = read_kuairec_binary(folder)
    users, items = read_truth_cells(folder, log)
    scope = scope_of(log)
    reward = torch.zeros(len(scope.users), len(scope.items))
    row, column = (torch.from_numpy(np.searchsorted(*pair)) for pair in ((scope.users, users), (scope.items, items)))
    reward[row, column] = 1.0
    return whole(reward)


def _watched(folder: Path, config: KuaiRecConfig) -> Truth:
    """Watch ratios of KuaiRec's small matrix, clipped at 5, 0 where a cell was not observed.

    Normalised where the log's rewards are, by the log's own scale: a session must see feedback in one unit.
    """
    users, items = read_sides(folder)
    table = scan_numbers(kuairec_file(folder, TRUTH), {USER: pl.Int32, ITEM: pl.Int32, WATCH: pl.Float32})
    user, item = coded(table, USER, users.ids, USERS), coded(table, ITEM, items.ids, CATEGORIES)
    scope_users, scope_items = np.unique(user), np.unique(item)
    shape = (len(scope_users), len(scope_items))
    cell = np.searchsorted(scope_users, user) * shape[1] + np.searchsorted(scope_items, item)
    if np.bincount(cell).max() > 1:
        place = int(pl.Series(cell).is_first_distinct().arg_min() or 0)
        table.fail(place, ITEM, f"user {users.ids[user[place]]} and video {items.ids[item[place]]} occur before")
    watched = table.frame[WATCH].to_numpy()
    if (watched < 0).any():
        place = int((watched < 0).argmax())
        table.fail(place, WATCH, f"{watched[place]:g} is negative")
    empty, infinite = np.isnan(watched), np.isinf(watched)
    reward = clipped(watched)
    if config.reward == "normalised":
        reward = read_scale(folder).rewards(item, reward)
    block = np.zeros(shape[0] * shape[1], dtype=np.float32)
    block[cell[~empty]] = reward[~empty]
    counts = (
        (len(block) - int((~empty).sum()), "cells without a watch ratio count 0"),
        (int(infinite.sum()), f"infinite watch ratios (a video of no duration) count {MOST:g}"),
    )
    every = whole(torch.from_numpy(block.reshape(shape)))
    return replace(every, notes=tuple(f"{count:,} {what}" for count, what in counts if count))


def random_ratings(raw: Path | None = None) -> InteractionLog:
    """Coat's test.ascii: 16 ratings a user of uniformly random items; ids and features as in the log."""
    folder = (raw or raw_folder()) / "coat"
    ratings = read_ratings(folder / "test.ascii")
    log, _ = read_coat(folder)
    if ratings.shape != (log.n_users, log.n_items):
        raise DataError(f"{folder / 'test.ascii'}: {ratings.shape} ratings, the log has {log.n_users, log.n_items}")
    user, item = np.nonzero(ratings)
    none = select(log, np.zeros(len(log), dtype=bool))
    return replace(
        none,
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        reward=ratings[user, item].astype(np.float32),
    )


def write_truth(truth: Truth, folder: Path) -> None:
    """Write truth.safetensors into a prepared folder, tied to its checksum, and note it in dataset.json; each atomic.

    Raises DataError when its codes or rewards are not those of the data set's scope.
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
        tensors, facts = read_tensors(path, REMEDY, DataError, "truth")
        if facts.get("checksum") != manifest["checksum"]:
            raise DataError(f"{path}: belongs to another data set than {folder}; {REMEDY}")
        random = None
        if "random_cell" in tensors:
            random = RandomFeedback(tensors["random_cell"], tensors["random_reward"], len(tensors["items"]))
        users, items = tensors["users"].numpy(), tensors["items"].numpy()
        truth = Truth(users, items, tensors["reward"], tuple(facts["notes"]), random)
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing, although {MANIFEST} says that there is a truth; {REMEDY}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error!r}); {REMEDY}") from error
    _check(truth, manifest, path)
    return truth


def _check(truth: Truth, manifest: dict[str, Any], path: Path) -> None:
    """Raise DataError unless codes are distinct ones of the scope, and rewards finite."""
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
