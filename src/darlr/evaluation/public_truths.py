"""The truths of the public data sets, some of them completed by darlr from random feedback."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.scope import scope_of
from darlr.data.sets import coat, kuairand, kuairec_binary, yahoo
from darlr.data.sets.coat import RATINGS, read_matrix, read_ratings
from darlr.data.sets.kuairec import MOST, TRUTH, WATCH, clipped, located, read_scale
from darlr.data.sets.shared import ITEM, USER, read_sides
from darlr.data.sources import raw_folder
from darlr.data.split import select
from darlr.data.tabular.file import scan_numbers
from darlr.errors import DataError
from darlr.evaluation.truth import Truth, random_feedback, whole
from darlr.options import CoatConfig, KuaiRecConfig, YahooConfig

COMPLETED = "completed by darlr from feedback on random items alone; not a published matrix"


def _coat(raw: Path, config: CoatConfig) -> Truth:
    path = raw / "coat" / "coat_pseudoGT_ratingM.ascii"
    if config.complete or not path.is_file():
        return _completed(random_ratings(raw))
    every = whole(torch.from_numpy(read_ratings(path).astype(np.float32)))
    if not (path.parent / "test.ascii").is_file():
        return every
    return replace(every, random=random_feedback(random_ratings(raw), every.users, every.items))


def _yahoo(raw: Path, config: YahooConfig) -> Truth:
    random, report = yahoo.read_random(raw / yahoo.NAME)
    return _completed(random, report) if config.truth is None else _given(config.truth, random)


def _completed(random: InteractionLog, report: PrepareReport | None = None) -> Truth:
    """Complete the rewards of the users with random events, on all items. report: on the reading of the events."""
    from darlr.evaluation.completion import complete  # slow to import

    completion, quality = complete(random)
    dropped = [f"dropped {one.count:,}: {one.reason}" for one in (report.dropped if report else ()) if one.count]
    return _of_random_users(random, completion.table(np.unique(random.user)), (COMPLETED, *quality, *dropped))


def _given(path: Path, random: InteractionLog) -> Truth:
    """Read rewards from 1 to 5: a row for each user with random events, a column for each item, by rising id."""
    rewards, wanted = read_matrix(path), (len(np.unique(random.user)), random.n_items)
    if rewards.shape != wanted:
        found, sides = (f"{rows} x {columns}" for rows, columns in (rewards.shape, wanted))
        raise DataError(f"{path}: {found} values; the users of the test file x songs are {sides}")
    wrong = np.argwhere(~((rewards >= RATINGS[0]) & (rewards <= RATINGS[1])))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(f"{path}, row {row + 1}, column {column + 1}: {rewards[row, column]:g} is not a rating 1 to 5")
    return _of_random_users(random, torch.from_numpy(rewards), (f"given in the file {path.name}",))


def _of_random_users(random: InteractionLog, reward: torch.Tensor, notes: tuple[str, ...]) -> Truth:
    users, items = np.unique(random.user), np.arange(random.n_items, dtype=np.int64)
    return Truth(users, items, reward, notes, random_feedback(random, users, items))


def _kuairec_binary(raw: Path, _options: None) -> Truth:
    """Return 1 where the fully observed block has a positive, else 0."""
    folder = raw / "kuairec_binary"
    log, _ = kuairec_binary.read(folder)
    users, items = kuairec_binary.read_truth_cells(folder, log)
    scope = scope_of(log)
    reward = torch.zeros(len(scope.users), len(scope.items))
    row, column = (torch.from_numpy(np.searchsorted(*pair)) for pair in ((scope.users, users), (scope.items, items)))
    reward[row, column] = 1.0
    return whole(reward)


def _kuairec(raw: Path, config: KuaiRecConfig) -> Truth:
    """Read KuaiRec's small matrix of watch ratios, clipped at 5, 0 where unobserved, in the log's unit."""
    folder = located(raw / "kuairec")
    users, items = read_sides(folder)
    table = scan_numbers(folder / TRUTH, {USER: pl.Int32, ITEM: pl.Int32, WATCH: pl.Float32})
    user, item = users.codes(table), items.codes(table)
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
    cells = np.zeros(shape, dtype=np.float32)
    cells.ravel()[cell[~empty]] = reward[~empty]
    counts = {
        "cells without a watch ratio count 0": cells.size - int((~empty).sum()),
        f"infinite watch ratios (a video of no duration) count {MOST:g}": int(infinite.sum()),
    }
    return replace(whole(torch.from_numpy(cells)), notes=tuple(f"{n:,} {what}" for what, n in counts.items() if n))


def random_ratings(raw: Path | None = None) -> InteractionLog:
    """Read Coat's test.ascii: 16 ratings of each user of uniformly random items, with the log's ids and features."""
    folder = (raw or raw_folder()) / "coat"
    ratings = read_ratings(folder / "test.ascii")
    log, _ = coat.read(folder)
    if ratings.shape != (log.n_users, log.n_items):
        raise DataError(f"{folder / 'test.ascii'}: {ratings.shape} ratings, the log has {log.n_users, log.n_items}")
    user, item = np.nonzero(ratings)
    none = select(log, np.zeros(len(log), dtype=bool))
    reward = ratings[user, item].astype(np.float32)
    return replace(none, user=user.astype(np.int64), item=item.astype(np.int64), reward=reward)


# Each public data set (darlr.data.sets.registry) with a truth, and its reader, which takes the raw folder and options.
TRUTHS: dict[str, Callable[[Path, Any], Truth]] = {
    "coat": _coat,
    "kuairec": _kuairec,
    "kuairec_binary": _kuairec_binary,
    "kuairand": lambda raw, _: _completed(*kuairand.read_random(raw / kuairand.NAME)),
    "yahoo": _yahoo,
}
