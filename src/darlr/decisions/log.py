"""A log of decisions and feedback on disk that survives `kill -9` and a full disk.

log = darlr.DecisionLog("decisions")  # a folder, which one process writes at a time
model.recommend("u1", 3, strategy="explore", request_id="r-1", log=log)
log.feedback("r-1", "sku-7", 4.0)
log.close()

A record is a line of JSON in the open segment, `open-0000007.jsonl`. A thread appends what came in the last EVERY
seconds and flushes it to disk, so that callers never wait for the disk. A segment of SEGMENT records becomes Parquet:
`decisions/0000007.parquet`, and likewise `rewards` and `candidates`. Each file is written whole or not at all, and the
open segment is removed last. A process that is killed leaves its open segment, and at most the last line of it is torn.
The next one turns it into Parquet, and counts what it found.
"""

import contextlib
import errno
import logging
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from darlr.decisions.read import LOG, SCHEMA, frames_of_segment, is_log, numbers_of, open_segment
from darlr.decisions.records import (
    Decision,
    Id,
    Reward,
    hash_of,
    line_of_candidates,
    line_of_decision,
    line_of_reward,
    utc,
)
from darlr.errors import ConfigError, DarlrError, DataError, RunError
from darlr.io.files import naming, remove_stale, replacing, write_json
from darlr.io.lock import Lock

EVERY = 0.05  # seconds between two flushes
RETRY = 0.5  # seconds to the next try where the disk took nothing
WAITING = 10_000  # the most records that wait for the disk
SEGMENT, BYTES = 50_000, 1 << 26  # the most records and bytes of a segment
APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Recovered:
    """What a process that was killed had left. torn: bytes of records that were not whole, which are dropped."""

    segments: int = 0
    decisions: int = 0
    rewards: int = 0
    torn: int = 0
    damaged: int = 0

    def __str__(self) -> str:
        found = f"{self.decisions:,} decisions and {self.rewards:,} rewards of a process that did not end properly"
        torn = f"; an incomplete record of {self.torn:,} bytes at the end was dropped" if self.torn else ""
        damaged = f"; {self.damaged:,} damaged records were dropped" if self.damaged else ""
        return f"{found} were recovered{torn}{damaged}; what it had not flushed ({EVERY:g} seconds or less) is lost"


class DecisionLog:
    """Keeps decisions and feedback in a folder. It can be used in a `with` block.

    recovered: what an earlier process had left, see `Recovered`. written: the records that are on disk.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open the log in `folder`, or make one there.

        Raises RunError where another process writes it, or it cannot be written, and DataError where the folder holds
        something else.
        """
        self.folder = Path(folder)
        if (
            self.folder.exists()
            and not is_log(self.folder)
            and (not self.folder.is_dir() or any(self.folder.iterdir()))
        ):
            raise DataError(f"{folder}: exists and is no log of decisions; choose another folder")
        with naming(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.folder, "log of decisions")
        self._pending: list[Decision | Reward] = []
        self._changed, self._closing = threading.Condition(), threading.Event()
        self._error: OSError | None = None
        self._file: int | None = None
        self._records = self._end = self.written = 0
        self._known: set[str] = set()
        try:
            for place in (self.folder, *(self.folder / name for name in ("decisions", "rewards", "candidates"))):
                remove_stale(place)
            write_json(self.folder / LOG, {"schema": SCHEMA, "about": "a log of decisions, see docs/production.md"})
            self.recovered = self._recover()
            self._number = max(numbers_of(self.folder), default=0) + 1
        except BaseException:
            self._lock.release()
            raise
        self._thread = threading.Thread(target=self._work, name="decisions", daemon=True)
        self._thread.start()

    def decided(self, decision: Decision) -> None:
        """Keep a decision. Raises OSError where the disk takes nothing, or the log is closed."""
        self._add([decision])

    def rewarded(self, rewards: Sequence[Reward]) -> None:
        """Keep feedback, all or nothing. Raises OSError as `decided`."""
        self._add(rewards)

    def feedback(self, request_id: str, item: Id, reward: float, time: datetime | None = None) -> None:
        """Keep the reward of an item of a decision. time: of the feedback; by default now, and in UTC without a zone.

        Raises ConfigError for a reward that is no number, and OSError as `decided`.
        """
        if not math.isfinite(reward):
            raise ConfigError(f"option reward: must be a number, not {reward!r}")
        self._add([Reward(request_id, item, float(reward), utc(time))])

    def check(self) -> None:
        """Raise OSError where a decision could not be kept now."""
        with self._changed:
            self._require_room()

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until everything is on disk. Raises OSError where it is not in time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending or self._error is not None, timeout)
            if self._pending:
                raise self._error or TimeoutError(f"{self.folder}: the disk is too slow")

    def close(self) -> None:
        """Write what is pending, turn the open segment into Parquet, and let other processes write.

        A second call does nothing else. Raises RunError where records could not be written; it says how many are lost.
        """
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()
        self._lock.release()
        if self._pending:
            raise RunError(f"{self.folder}: cannot be written ({self._error}); {len(self._pending):,} records are lost")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_room(self, more: int = 1) -> None:
        if self._closing.is_set():
            raise OSError(f"{self.folder}: the log is closed")
        if self._error is not None:
            why = self._error.strerror or str(self._error)
            raise OSError(self._error.errno, why, str(self.folder)) from self._error
        if len(self._pending) + more > WAITING:
            raise OSError(f"{self.folder}: the disk is too slow, and {len(self._pending):,} records wait for it")

    def _add(self, records: Sequence[Decision | Reward]) -> None:
        with self._changed:
            self._require_room(len(records))
            self._pending += records
            if len(self._pending) == len(records):
                self._changed.notify_all()

    def _work(self) -> None:
        try:
            self._keep_writing()
        except Exception as error:  # a record that cannot be written, for example; nothing more is taken then
            logging.getLogger("darlr").exception("%s: writing failed", self.folder)
            with self._changed:
                self._error = OSError(errno.EIO, f"writing failed ({error!r})")
                self._changed.notify_all()

    def _keep_writing(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closing.is_set())
            self._closing.wait(EVERY if self._error is None else RETRY)
            closing = self._closing.is_set()
            self._write()
            full = self._records >= SEGMENT or self._end >= BYTES
            if self._file is not None and (full or closing):
                self._close_segment()
            if closing:
                return

    def _write(self) -> None:
        """Append what is pending; where that fails, nothing of it stays in the file, and all of it stays pending."""
        batch = list(self._pending)  # callers only append
        if not batch:
            return
        error, data, fresh = None, b"", set[str]()
        try:
            if self._file is None:
                self._file = os.open(open_segment(self.folder, self._number), APPENDING, 0o666)
                self._records, self._end, self._known = 0, 0, set[str]()
            data = b"".join(line for one in batch for line in self._lines(one, fresh))
            append(self._file, data)
        except OSError as problem:
            error = problem
            if self._file is not None:
                with contextlib.suppress(OSError):  # a torn line would be found at the next start
                    os.ftruncate(self._file, self._end)
        with self._changed:
            self._error = error
            if error is None:
                del self._pending[: len(batch)]
                self._end += len(data)
                self._records += len(batch)
                self.written += len(batch)
                self._known |= fresh
            self._changed.notify_all()

    def _lines(self, one: Decision | Reward, fresh: set[str]) -> Iterator[bytes]:
        """The lines of a record. A set of candidates is written once in each segment. fresh: those of this call."""
        if isinstance(one, Reward):
            yield line_of_reward(one)
            return
        name = None if one.candidates is None else hash_of(one.candidates)
        if name is not None and one.candidates is not None and name not in self._known | fresh:
            fresh.add(name)
            yield line_of_candidates(name, one.candidates)
        yield line_of_decision(one, name)

    def _close_segment(self) -> None:
        assert self._file is not None
        os.close(self._file)
        self._file, number = None, self._number
        self._number, self._records = number + 1, 0
        try:
            self._to_parquet(number)
        except (OSError, DarlrError) as error:  # it stays as it is, and the next start tries again
            logging.getLogger("darlr").warning("%s stays open: %s", open_segment(self.folder, number), error)

    def _to_parquet(self, number: int) -> Recovered:
        """Replace an open segment by Parquet files. Raises RunError where they cannot be written."""
        segment = open_segment(self.folder, number)
        frames, torn, damaged = frames_of_segment(segment)
        for name, frame in frames._asdict().items():
            if len(frame):
                (self.folder / name).mkdir(exist_ok=True)
                with replacing(self.folder / name / f"{number:07}.parquet") as draft:
                    write_parquet(frame, draft)
        segment.unlink()
        return Recovered(1, len(frames.decisions), len(frames.rewards), torn, damaged)

    def _recover(self) -> Recovered:
        found = Recovered()
        for segment in sorted(self.folder.glob("open-*.jsonl")):
            one = self._to_parquet(int(segment.stem.removeprefix("open-")))
            found = Recovered(*(a + b for a, b in zip(vars(found).values(), vars(one).values(), strict=True)))
        return found


def append(file: int, data: bytes) -> None:
    """Write all of the data, and flush it to disk."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    os.fsync(file)


def write_parquet(frame: Any, path: Path) -> None:
    """Write a frame. Raises OSError also where polars raises an error of its own, as on a full disk."""
    import polars as pl

    try:
        frame.write_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise OSError(str(error)) from error
