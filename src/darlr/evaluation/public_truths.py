"""The truths of the public data sets, some of them completed by us from random feedback."""

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
from darlr.data.sets import kuairand, yahoo
from darlr.data.sets.coat import RATINGS, read_coat, read_matrix, read_ratings
from darlr.data.sets.kuairec import TRUTH, kuairec_file, kuairec_folder, read_scale, read_sides
from darlr.data.sets.kuairec_binary import read_kuairec_binary, read_truth_cells
from darlr.data.sets.kuairec_events import WATCH
from darlr.data.sets.kuairec_reward import MOST, clipped
from darlr.data.sets.kuairec_tables import CATEGORIES, USERS
from darlr.data.sets.kuaishou import ITEM, USER, coded
from darlr.data.sources import raw_folder
from darlr.data.split import select
from darlr.data.tabular.number_columns import scan_numbers
from darlr.errors import DataError
from darlr.evaluation.random_feedback import random_feedback
from darlr.evaluation.truth import Truth, whole
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


def _kuairand(raw: Path, _options: None) -> Truth:
    return _completed(*kuairand.read_random(raw / kuairand.NAME))


def _yahoo(raw: Path, config: YahooConfig) -> Truth:
    random, report = yahoo.read_random(raw / yahoo.NAME)
    return _completed(random, report) if config.truth is None else _given(config.truth, random)


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


def _kuairec_binary(raw: Path, _options: None) -> Truth:
    """1 where the fully observed block has a positive, else 0."""
    folder = raw / "kuairec_binary"
    log, _ = read_kuairec_binary(folder)
    users, items = read_truth_cells(folder, log)
    scope = scope_of(log)
    reward = torch.zeros(len(scope.users), len(scope.items))
    row, column = (torch.from_numpy(np.searchsorted(*pair)) for pair in ((scope.users, users), (scope.items, items)))
    reward[row, column] = 1.0
    return whole(reward)


def _kuairec(raw: Path, config: KuaiRecConfig) -> Truth:
    """Watch ratios of KuaiRec's small matrix, clipped at 5, 0 where a cell was not observed.

    Normalised where the log's rewards are, by the log's own scale: a session must see feedback in one unit.
    """
    folder = kuairec_folder(raw)
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
    cells = np.zeros(shape[0] * shape[1], dtype=np.float32)
    cells[cell[~empty]] = reward[~empty]
    counts = (
        (len(cells) - int((~empty).sum()), "cells without a watch ratio count 0"),
        (int(infinite.sum()), f"infinite watch ratios (a video of no duration) count {MOST:g}"),
    )
    every = whole(torch.from_numpy(cells.reshape(shape)))
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


# One line for each public data set with a truth (darlr.data.sets.registry): what reads it, from raw folder and options.
TRUTHS: dict[str, Callable[[Path, Any], Truth]] = {
    "coat": _coat,
    "kuairec": _kuairec,
    "kuairec_binary": _kuairec_binary,
    "kuairand": _kuairand,
    "yahoo": _yahoo,
}
