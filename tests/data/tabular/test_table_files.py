"""A log of many files: the same as one, whatever packs them; errors name the file."""

import gzip
import os
import shutil
import sys

import numpy as np
import polars as pl
import pytest

from darlr.data.store import checksum
from darlr.data.tabular import events, ids, times
from darlr.data.tabular.read_table import read_table
from darlr.errors import DataError, MachineError
from darlr.io import memory
from darlr.options import TableConfig

N = 60
USER, ITEM = np.divmod(np.arange(N), 10)
FRAME = pl.DataFrame({"user": USER, "item": [f"i{k}" for k in ITEM], "reward": ITEM / 2, "t": np.arange(N)})


def written(folder, *kinds):
    """The table above in as many parts as kinds are named, and the folder."""
    folder.mkdir()
    size = N // len(kinds)
    for k, kind in enumerate(kinds):
        part = FRAME[k * size : (k + 1) * size]
        path = folder / f"part-{k}{kind}"
        if kind == ".parquet":
            part.write_parquet(path)
        elif kind.endswith(".zst"):
            part.write_csv(path, separator="\t" if kind.startswith(".tsv") else ",", compression="zstd")
        else:
            text = part.write_csv(separator="\t" if kind.startswith(".tsv") else ",")
            path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())
    return folder


def test_a_log_in_parts_of_all_kinds_is_the_log_in_one(tmp_path):
    one = written(tmp_path / "one", ".csv") / "part-0.csv"
    parts = written(tmp_path / "parts", ".csv", ".tsv.gz", ".parquet", ".csv.zst", ".tsv", ".csv.gz")
    names = tuple(sorted(parts.iterdir()))
    expected, _ = read_table(TableConfig(one, timestamp="t"))
    for named in (parts, names, parts / "part-*", (parts / "part-[0-2]*", parts / "part-[3-5]*")):
        log, report = read_table(TableConfig(named, timestamp="t"))
        assert checksum(log) == checksum(expected)
        assert (report.rows_read, report.rows_kept) == (N, N)
    assert log.name == "part"
    assert read_table(TableConfig(parts))[0].name == "parts"


def test_columns_may_come_in_another_order(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,reward\n1,x,0.5\n")
    (tmp_path / "b.csv").write_text("junk,reward,item,user\nz,2,y,2\n")
    log, _ = read_table(TableConfig((tmp_path / "b.csv", tmp_path / "a.csv")))
    assert (log.user.tolist(), log.item.tolist(), log.reward.tolist()) == ([1, 0], [1, 0], [2.0, 0.5])


def test_folders_hold_other_files_too(tmp_path):
    parts = written(tmp_path / "parts", ".csv", ".csv")
    (parts / "_SUCCESS").write_text("")
    (parts / ".part-0.csv").write_text("half")
    (parts / "read me.txt").write_text("hello")
    (parts / "day=2").mkdir()
    shutil.move(parts / "part-1.csv", parts / "day=2" / "part-1.csv")
    assert read_table(TableConfig(parts))[1].rows_kept == N


def test_repeats_in_another_file_are_found_and_counted(tmp_path):
    parts = written(tmp_path / "parts", ".csv", ".csv")
    shutil.copy(parts / "part-0.csv", parts / "part-2.csv")
    log, report = read_table(TableConfig(parts, timestamp="t"))
    assert len(log) == N
    (dropped,) = report.dropped
    assert (dropped.reason, dropped.count) == ("exact repeat of an earlier row", N // 2)
    assert dropped.example == f"{parts / 'part-2.csv'}, row 2"
    assert len(read_table(TableConfig(parts))[0]) == N * 3 // 2  # without times a repeat may be another event


def test_whole_times_beside_fractions(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,reward,t\n1,x,0,7\n")
    (tmp_path / "b.csv").write_text("user,item,reward,t\n2,x,0,7.5\n")
    log, _ = read_table(TableConfig(tmp_path, timestamp="t"))
    assert log.timestamp.tolist() == [7_000_000, 7_500_000]


SECOND = {
    "lacks the column": ("user,item,stars\n1,x,1\n", "b.csv: there is no column 'reward'"),
    "bad number": ("user,item,reward\n1,x,1\n2,y,?\n", "b.csv, row 3, column 'reward': '\\?' is not a number"),
    "colliding ids": ("user,item,reward\n 1,x,1\n", "b.csv, row 2, column 'user': ids ' 1' and '1' \\(.*a.csv, row 2"),
    "date": (
        "user,item,reward,t\n1,x,1,2024-01-01\n",
        "b.csv, row 2, column 't': '2024-01-01' is not a time like those",
    ),
    "too wide": ("user,item,reward,t\n1,x,1,1,1\n", "b.csv, row 2: 5 values"),
}


@pytest.mark.parametrize("case", SECOND)
def test_an_error_names_the_file(case, tmp_path):
    content, message = SECOND[case]
    (tmp_path / "a.csv").write_text("user,item,reward,t\n1,x,0,7\n")
    (tmp_path / "b.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(TableConfig(tmp_path, timestamp="t" if ",t" in content else None))


def test_one_file_twice_and_none(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,reward\n1,x,0\n2,x,1\n")
    with pytest.raises(DataError, match=r"a.csv: is named twice"):
        read_table(TableConfig((tmp_path / "a.csv", tmp_path)))
    with pytest.raises(DataError, match="names no file"):
        read_table(TableConfig(()))


def test_a_part_without_rows_is_noted(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,reward\n1,x,0\n2,x,1\n")
    (tmp_path / "b.csv").write_text("user,item,reward\n")
    log, report = read_table(TableConfig(tmp_path))
    assert len(log) == 2
    assert report.notes == (f"{tmp_path / 'b.csv'}: has no rows",)


def test_a_fault_in_a_column_that_nobody_asked_for_loses_no_row(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('user,item,reward,text\na,1,1,"z\nb,2,2,"z\nc,3,3,z\n')
    with pytest.raises(DataError, match="quot"):
        read_table(TableConfig(path))
    path.write_text('user,item,reward,text\na,1,1,"z\nb,2,2,z"\nc,3,3,z\n')  # legal: one cell over two lines
    log, report = read_table(TableConfig(path))
    assert (len(log), report.rows_read) == (2, 2)
    assert "1 line breaks inside quoted cells" in report.notes[0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_text("user,item,reward\na,1,1\n")
    with pytest.raises(DataError, match=r"not valid UTF-8.*rename it"):
        read_table(TableConfig(log=path))


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_a_log_that_does_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch, kind):
    folder = written(tmp_path / "log", kind, kind)
    monkeypatch.setattr(memory, "free_memory", lambda: 2000)
    with pytest.raises(MachineError, match=r"and 1 more: a log of about (59|60|61|62|63|64) events: takes about .* MB"):
        read_table(TableConfig(folder))


def test_rows_are_counted_beyond_a_block(tmp_path, monkeypatch):
    """The same log, whatever is worked on at once: repeats, codes and dates cross the blocks."""
    frame = pl.concat([FRAME, FRAME[7:30], FRAME[58:]]).with_columns(t=pl.col("t") + 20_240_301)
    frame.write_csv(tmp_path / "log.csv")
    options = TableConfig(tmp_path / "log.csv", timestamp="t")
    whole = read_table(options)
    assert whole[1].rows_kept == N
    for module in (events, ids, times):
        monkeypatch.setattr(module, "BLOCK", 7)
    blocks = read_table(options)
    assert checksum(whole[0]) == checksum(blocks[0])
    assert whole[1] == blocks[1]
