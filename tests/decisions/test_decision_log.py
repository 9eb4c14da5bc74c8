"""The log of decisions: what is written is read, and `kill -9` and a full disk cost what is promised."""

import errno
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darlr.decisions import log as module
from darlr.decisions.log import DecisionLog
from darlr.decisions.read import read_log
from darlr.decisions.records import Decision, Reward, line_of_decision, line_of_reward, parsed
from darlr.errors import ConfigError, DataError, RunError
from tests import forked

NOW = datetime(2026, 11, 3, 12, 30, 1, 234567, UTC)
ONE = Decision(
    request_id="r-0",
    time=NOW,
    user="u1",
    user_known=True,
    history=(("a\n", 4.5), (7, 1.0)),
    exclude=("é",),
    candidates=None,
    strategy="explore",
    epsilon=0.1,
    seed=2**64 - 1,
    items=("b", "c"),
    propensities=(0.1 + 0.2, 1e-300),
    arm="shop",
    run="shop",
    version="0123",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.001)
    monkeypatch.setattr(module, "RETRY", 0.005)


def numbered(count: int, **changes: Any) -> list[Decision]:
    return [replace(ONE, request_id=f"r-{number}", **changes) for number in range(count)]


numbers, words = st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(codec="utf-8"), max_size=5)


@settings(max_examples=25)
@given(chance=st.floats(0, 1), reward=numbers, seed=st.integers(0, 2**64 - 1), text=words)
def test_a_line_keeps_every_bit(chance: float, reward: float, seed: int, text: str) -> None:
    one = replace(ONE, request_id=text, user=text, seed=seed, propensities=(chance,), items=(text,))
    one = replace(one, history=((text, reward),))
    event = Reward(text, text, reward, NOW)
    found = parsed((line_of_decision(one, None) + line_of_reward(event)).decode())
    row = found.decisions.row(0, named=True)
    assert (row["request_id"], row["user"], row["items"], row["seed"]) == (text, text, [text], seed)
    assert row["propensities"][0].hex() == float(chance).hex()
    assert row["history_rewards"][0].hex() == float(reward).hex()
    assert row["time"] == NOW
    assert found.rewards.row(0) == (text, text, reward, NOW)


def test_what_is_written_is_read_while_and_after(tmp_path: Path) -> None:
    sets = [None, (3, 1, 2), (2, 3, 1), (1,)]
    with DecisionLog(tmp_path / "log") as log:
        for place, one in enumerate(sets):
            log.decided(replace(ONE, request_id=f"r-{place}", candidates=one))
        log.feedback("r-0", "b", 2, datetime(2026, 11, 3, 12))
        with pytest.raises(ConfigError, match="option reward"):
            log.feedback("r-0", "b", float("nan"))
        log.flush()
        live = read_log(tmp_path / "log")
    after = read_log(tmp_path / "log")
    for found in (live, after):
        assert found.decisions["request_id"].to_list() == ["r-0", "r-1", "r-2", "r-3"]
        hashes = found.decisions["candidates"].to_list()
        assert (hashes[0], hashes[1] == hashes[2] != hashes[3]) == (None, True)
        assert dict(found.candidates.iter_rows())[hashes[1]] == ["3", "1", "2"]
        assert len(found.candidates) == 2
        assert found.rewards.row(0) == ("r-0", "b", 2.0, datetime(2026, 11, 3, 12, tzinfo=UTC))
    assert not list((tmp_path / "log").glob("open-*"))
    assert pl.read_parquet(tmp_path / "log/decisions/*.parquet").equals(after.decisions)
    with pytest.raises(OSError, match="the log is closed"):
        log.decided(ONE)


def test_a_full_segment_becomes_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT", 5)
    with DecisionLog(tmp_path / "log") as log:
        for one in numbered(12, candidates=(1,)):
            log.decided(one)
            log.flush()
    assert len(list((tmp_path / "log/decisions").iterdir())) == 3
    assert len(list((tmp_path / "log/candidates").iterdir())) == 3  # each segment can be read alone
    assert read_log(tmp_path / "log").decisions["request_id"].to_list() == [f"r-{n}" for n in range(12)]
    with DecisionLog(tmp_path / "log") as log:
        log.decided(ONE)
    assert len(read_log(tmp_path / "log").decisions) == 13


KILLED = """
import os, signal, sys
from tests.decisions.test_decision_log import numbered
from darlr.decisions import log as module
log = module.DecisionLog(sys.argv[1])
log.recovered.segments == 0 or sys.exit(3)
for one in numbered(70): log.decided(one)
log.feedback("r-1", "b", 1.0)
log.flush()
module.EVERY = 60
log.decided(numbered(1)[0])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_loses_at_most_what_was_not_flushed(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    assert forked.run(KILLED, folder).returncode == -9
    segment = folder / "open-0000001.jsonl"
    with segment.open("ab") as file:
        file.write(b'{"request_id":"torn","it')
    assert len(read_log(folder).decisions) == 70  # a reader passes over the torn end
    with DecisionLog(folder) as log:
        found = log.recovered
        assert (found.segments, found.decisions, found.rewards, found.torn, found.damaged) == (1, 70, 1, 24, 0)
        assert "70 decisions and 1 rewards of a process that did not end properly were recovered" in str(found)
        assert "an incomplete record of 24 bytes at the end was dropped" in str(found)
    assert len(read_log(folder).decisions) == 70
    assert DecisionLog(folder).recovered.segments == 0


def test_a_writer_that_is_killed_while_it_makes_parquet_repeats_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with DecisionLog(folder) as log:
        log.decided(ONE)
    (folder / "open-0000001.jsonl").write_bytes(line_of_decision(ONE, None) + b"damaged\n")  # not removed yet
    assert len(read_log(folder).decisions) == 1
    with DecisionLog(folder) as log:
        assert (log.recovered.decisions, log.recovered.damaged) == (1, 1)
    assert len(read_log(folder).decisions) == 1


def test_a_full_disk_refuses_and_goes_on_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, append = [False], module.append

    def filling(file: int, data: bytes) -> None:
        if full[0]:
            os.write(file, data[: len(data) // 2])  # a part of it still fits
            raise OSError(errno.ENOSPC, "No space left on device")
        append(file, data)

    monkeypatch.setattr(module, "append", filling)
    log = DecisionLog(tmp_path / "log")
    first, second, *others = numbered(5)
    log.decided(first)
    log.flush()
    full[0] = True
    log.decided(second)  # taken before the disk has refused anything
    with pytest.raises(OSError, match="No space left on device"):
        log.flush()
    for refused in (lambda: log.decided(others[0]), lambda: log.feedback("r-0", "b", 1.0), log.check):
        with pytest.raises(OSError, match="No space left on device"):
            refused()
    assert read_log(tmp_path / "log").decisions["request_id"].to_list() == ["r-0"]
    full[0] = False
    while log.written < 2:
        time.sleep(0.001)
    log.check()
    log.decided(others[0])
    log.flush()
    full[0] = True
    log.decided(others[1])
    with pytest.raises(RunError, match="1 records are lost"):
        log.close()
    assert read_log(tmp_path / "log").decisions["request_id"].to_list() == ["r-0", "r-1", "r-2"]


def test_too_many_records_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 3)
    monkeypatch.setattr(module, "append", lambda file, data: time.sleep(0.2))
    log = DecisionLog(tmp_path / "log")
    with pytest.raises(OSError, match="the disk is too slow"):
        log.rewarded([Reward("r", "b", 1.0, NOW)] * 4)  # all or nothing
    for one in numbered(3):
        log.decided(one)
    with pytest.raises(OSError, match="the disk is too slow, and 3 records wait"):
        log.decided(ONE)
    log.close()


def test_one_process_writes_a_log_and_nothing_else_is_overwritten(tmp_path: Path) -> None:
    refused = pytest.raises(RunError, match=f"process {os.getpid()} is writing to this log of decisions")
    with DecisionLog(tmp_path / "log"), refused:
        DecisionLog(tmp_path / "log")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataError, match="exists and is no log of decisions"):
        DecisionLog(tmp_path / "other")
    with pytest.raises(RunError, match=r"cannot be written \(Not a directory\); choose another folder"):
        DecisionLog(tmp_path / "other" / "file" / "log")
    with pytest.raises(DataError, match="no log of decisions here"):
        read_log(tmp_path / "other")
    with DecisionLog(tmp_path / "log") as log:
        log.decided(ONE)
    (tmp_path / "log/decisions/0000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"0000001\.parquet: damaged"):
        read_log(tmp_path / "log")


def test_a_record_that_cannot_be_written_is_no_silence(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log")
    log.decided(replace(ONE, propensities=(float("nan"),)))
    log._thread.join()
    with pytest.raises(OSError, match="writing failed"):
        log.decided(ONE)
    with pytest.raises(RunError, match="1 records are lost"):
        log.close()
