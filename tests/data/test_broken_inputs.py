"""Sixty and more broken inputs: each a clear error that leaves nothing behind, or a stated, counted repair.

None loses a row in silence: wherever a log comes out, rows read = rows kept + rows dropped.
"""

import datetime
import errno
import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from darlr.cli.dispatch import BAD_INPUT, BAD_USAGE
from darlr.cli.main import main
from darlr.data.sources import prepare
from darlr.data.store import is_prepared, load, load_report
from darlr.options import TableConfig
from tests import forked

H = "user,item,reward\n"
GOOD = H + "a,1,1\nb,2,0\na,2,0.5\n"
T = "user,item,reward,t\n"
MANY = H + "".join(f"u{k % 50},i{k % 77},{k % 5}\n" for k in range(4_000))


@dataclass(frozen=True)
class Case:
    """One broken input. said: what the error, or where rows are kept (a number) the output, must say."""

    content: str | bytes | pl.DataFrame | Callable[[Path], object]
    said: str
    file: str = "log.csv"
    options: str = ""
    kept: int | None = None
    code: int = BAD_INPUT
    extra: dict[str, str] = field(default_factory=dict)


def _zst(path: Path, keep: float) -> None:
    pl.read_csv(MANY.encode(), infer_schema=False).write_csv(path, compression="zstd")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])


def _frame(**columns: object) -> pl.DataFrame:
    return pl.DataFrame({"user": ["a", "b"], "item": [1, 2], "reward": [0.0, 1.0]} | columns)


def _cut_parquet(path: Path) -> None:
    _frame().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])


def _holed_parquet(path: Path) -> None:
    pl.DataFrame({"user": [f"u{k}" for k in range(999)], "item": range(999), "reward": [0.5] * 999}).write_parquet(path)
    whole = bytearray(path.read_bytes())
    whole[10:400] = b"\xff" * 390
    path.write_bytes(bytes(whole))


Z = gzip.compress(MANY.encode())
ITEMS = "--items {}/items.csv"
CASES = {
    # what the file is
    "empty file": Case("", "log.csv: the file is empty"),
    "only blank lines": Case("\n\n\n", "log.csv: the file is empty, or its first line is"),
    "only a header": Case(H, "log.csv: the file has no rows"),
    "only a header, packed": Case(gzip.compress(H.encode()), "log.csv.gz: the file has no rows", "log.csv.gz"),
    "no header": Case("a,1,5\nb,2,0\n", "there is no column 'user'; columns: a, 1, 5"),
    "unknown ending": Case(GOOD, "log.xlsx: unknown kind of file; known: .csv, .tsv", "log.xlsx"),
    "folder without data": Case(lambda path: path.mkdir(), "the folder holds no file of a known kind", "folder"),
    "missing file": Case(lambda path: None, "log.csv: file not found"),
    "pattern without files": Case(lambda path: None, "the pattern finds no file of a known kind", "*.tsv"),
    "Parquet called CSV": Case(lambda path: _frame().write_parquet(path), "line 1: is not UTF-8"),
    "CSV called Parquet": Case(GOOD, "log.parquet: is not a readable Parquet file", "log.parquet"),
    "CSV called gzip": Case(GOOD, "log.csv.gz: is not a whole gzip file", "log.csv.gz"),
    "CSV called zstd": Case(GOOD, "log.csv.zst: is not a whole zstd file", "log.csv.zst"),
    # whole or not
    "gzip cut in its header": Case(Z[:8], "is not a whole gzip file", "log.csv.gz"),
    "gzip cut half way": Case(Z[: len(Z) // 2], "is not a whole gzip file", "log.csv.gz"),
    "gzip without its last bytes": Case(Z[:-4], "is not a whole gzip file", "log.csv.gz"),
    "gzip with another checksum": Case(Z[:-8] + b"1234" + Z[-4:], "is not a whole gzip file", "log.csv.gz"),
    "gzip with a flipped byte": Case(Z[:900] + bytes([Z[900] ^ 255]) + Z[901:], "log.csv.gz", "log.csv.gz"),
    "zstd cut half way": Case(lambda path: _zst(path, 0.5), "is not a whole zstd file", "log.csv.zst"),
    "Parquet without its end": Case(_cut_parquet, "is not a readable Parquet file", "log.parquet"),
    "Parquet with a hole": Case(_holed_parquet, "is not a readable Parquet file", "log.parquet"),
    # encodings and lines
    "UTF-16": Case(GOOD.encode("utf-16"), "line 1: is not UTF-8"),
    "Latin-1": Case((H + "a,1,1\nJosé,2,0\n").encode("latin1"), "line 3: is not UTF-8 after 'Jos'"),
    "Latin-1 in a column that nobody asked for": Case(
        "user,item,reward,x\na,1,1,é\nb,2,0,y\n".encode("latin1"), "line 2: is not UTF-8"
    ),
    "byte-order mark": Case(b"\xef\xbb\xbf" + GOOD.encode(), "3 of 3 rows kept", kept=3),
    "bare carriage returns": Case(GOOD.replace("\n", "\r"), "its lines end in a bare carriage return"),
    "mixed line ends": Case(H + "a,1,1\r\nb,2,0\na,2,0.5\r\n", "3 of 3 rows kept", kept=3),
    "no line end at the end": Case(GOOD.rstrip("\n"), "3 of 3 rows kept", kept=3),
    "blank lines between rows": Case(H + "a,1,1\n\nb,2,0\n\n", "dropped 2: no user id (first at", kept=2),
    "NUL in an id": Case(H + "a,1,1\nb\0,2,0\n", "row 3, column 'user': 'b\\x00' holds a control character"),
    "NUL in a reward": Case(H + "a,1,1\nb,2,0\0\n", "row 3, column 'reward': '0\\x00' is not a number"),
    # delimiters and quotes
    "semicolons": Case(GOOD.replace(",", ";"), "no column 'user'; its header is separated by ';'"),
    "tabs in a CSV": Case(GOOD.replace(",", "\t"), "no column 'user'; its header is separated by '\\t'"),
    "commas in a TSV": Case(GOOD, "its header is separated by ','", "log.tsv"),
    "a row too wide": Case(H + "a,1,1\nb,2,0,9\n", "row 3: 4 values where the header names 3 columns"),
    "a row too wide, in columns nobody asked for": Case(
        "user,item,reward,x\na,1,1,x\nb,2,0,9,9,9\n", "row 3: 6 values where the header names 4 columns"
    ),
    "a row too short": Case(H + "a,1,1\nb,2\n", "row 3, column 'reward': the reward is missing"),
    "a decimal comma": Case(H + "a,1,1\nb,2,0,5\n", "row 3: 4 values"),
    "a quote left open": Case(H + 'a,1,1\n"b,2,0\na,2,1\n', "line 3: unexpected end of data; is a quotation mark"),
    "a stray quote": Case(H + 'a,1,1\nb"x,2,0\na,2,1\n', "line 3: an odd number of quotation marks"),
    "two stray quotes that swallow rows": Case(
        H + 'a,1,1\n"b,2,0\nc",2,1\n', "row 3, column 'user': 'b,2,0\\nc' holds a control character or line break"
    ),
    "quotes that swallow rows elsewhere": Case(
        'user,item,reward,x\na,1,1,"x\nb,2,0,x"\nc,2,1,x\n', "1 line breaks inside quoted cells", kept=2
    ),
    # columns
    "no such column": Case(GOOD, "there is no column 'usr'; perhaps you meant 'user'", options="--user usr"),
    "one column for two": Case(GOOD, "column 'user' is named twice", options="--item user", code=BAD_USAGE),
    "a doubled column": Case("user,item,reward,user\na,1,1,b\n", "row 1, column 'user': occurs twice"),
    "spaces around names": Case(" user , item,reward \na,1,1\nb,2,0\n", "2 of 2 rows kept", kept=2),
    # ids
    "ids with spaces around": Case(H + " a ,1,1\nb,2,0\n a ,2,0\n", "3 of 3 rows kept", kept=3),
    "ids that differ in spaces": Case(H + "a,1,1\nb,1,1\n a,2,0\n", "row 4, column 'user': ids ' a' and 'a'"),
    "ids that differ in case": Case(
        H + "Ann,1,1\nann,2,0\n", "column 'user': 1 ids are another one's but for case or leading zeros", kept=2
    ),
    "ids that differ in leading zeros": Case(
        H + "7,1,1\n007,2,0\n07,2,0\n", "column 'user': 2 ids are another one's but for case or leading zeros", kept=3
    ),
    "an id too long": Case(H + "a,1,1\n" + "b" * 1_001 + ",2,0\n", "row 3, column 'user': 'bbbbbbbb"),
    "ids with a fraction": Case(_frame(user=[1.0, 1.5]), "row 2, column 'user': '1.5' is not a whole", "log.parquet"),
    "ids that are infinite": Case(_frame(user=[1.0, float("inf")]), "'inf' is not a whole number", "log.parquet"),
    "ids that are dates": Case(_frame(user=[datetime.date(2024, 1, 1)] * 2), "not Date", "log.parquet"),
    "ids that are lists": Case(_frame(item=[[1], [2]]), "column 'item': ids must be text", "log.parquet"),
    "ids missing": Case(H + "a,1,1\n,2,0\nb,,1\nb,1,1\n", "dropped 1: no item id (first at", kept=2),
    "all ids missing": Case(H + ",1,1\nb,,0\n", "no row has both a user and an item id"),
    "one user only": Case(H + "a,1,1\na,2,0\n", "all rows belong to one user ('a')"),
    # rewards
    "a reward of text": Case(H + "a,1,1\nb,2,good\n", "row 3, column 'reward': 'good' is not a number"),
    "no reward": Case(H + "a,1,\nb,2,1\n", "row 2, column 'reward': the reward is missing"),
    "a word for no reward": Case(H + "a,1,NULL\nb,2,1\n", "'reward': the reward is missing: the cell says 'NULL'"),
    "a NaN": Case(H + "a,1,1\nb,2,NaN\n", "row 3, column 'reward': 'NaN' is not a finite number"),
    "infinite": Case(H + "a,1,1\nb,2,-inf\n", "row 3, column 'reward': '-inf' is not a finite number"),
    "beyond single precision": Case(H + "a,1,1\nb,2,1e300\n", "column 'reward': reward 1e+300 must be from -1e+12 to"),
    "enormous": Case(H + "a,1,1\nb,2,1e30\n", "row 3, column 'reward': reward 1e+30 must be from -1e+12 to 1e+12"),
    "negative": Case(H + "a,1,-3\nb,2,2\n", "rewards -3 to 2", kept=2),
    "outside its range": Case(
        GOOD, "row 2, column 'reward': reward 1 must be from 0 to 0.5", options="--reward-range 0 .5"
    ),
    "an empty range": Case(
        GOOD, "reward-range: 2.0 must be below 1.0", options="--reward-range 2 1", code=BAD_USAGE
    ),
    "all equal": Case(H + "a,1,4\nb,2,4\n", "positives only (every reward is 4)", kept=2),
    "all zero": Case(H + "a,1,0\nb,2,0\n", "positives only (every reward is 0)", kept=2),
    "dates for rewards": Case(H + "a,1,1\nb,2,2024-01-01\n", "'2024-01-01' is not a number"),
    "typed dates for rewards": Case(_frame(reward=[datetime.date(2024, 1, 1)] * 2), "numbers, not Date", "log.parquet"),
    "lists for rewards": Case(_frame(reward=[[1.0], [2.0]]), "reward must be numbers, not List", "log.parquet"),
    "a null in Parquet": Case(_frame(reward=[1.0, None]), "row 2, column 'reward': the rew", "log.parquet"),
    "propensity 0": Case(
        "user,item,reward,p\na,1,1,0\nb,2,0,1\n", "row 2, column 'p': propensity 0", options="--propensity p"
    ),
    # times
    "clock going backwards": Case(T + "a,1,1,9\nb,2,0,3\na,2,0,5\n", "3 of 3 rows", options="--timestamp t", kept=3),
    "no time": Case(T + "a,1,1,9\nb,2,0,\n", "row 3, column 't': the timestamp is missing", options="--timestamp t"),
    "text for a time": Case(T + "a,1,1,9\nb,2,0,noon\n", "'noon' is not a time like the", options="--timestamp t"),
    "numbers, then dates": Case(T + "a,1,1,9\nb,2,0,2024-01-01\n", "'2024-01-01' is not a", options="--timestamp t"),
    "dates, then numbers": Case(T + "a,1,1,2024-01-01\nb,2,0,9\n", "'9' is not a time like", options="--timestamp t"),
    "seconds and milliseconds": Case(
        T + "a,1,1,1700000000\nb,2,0,1700000000000\n",
        "row 3, column 't': 1700000000000 looks like milliseconds, the time in",
        options="--timestamp t",
    ),
    "durations for times": Case(
        _frame(t=[datetime.timedelta(1)] * 2), "numbers or dates, not Duration", "log.parquet", "--timestamp t"
    ),
    "exact repeats": Case(
        T + "a,1,1,9\nb,2,0,3\na,1,1,9\n", "dropped 1: exact repeat of an earlier row", options="--timestamp t", kept=2
    ),
    # features
    "an item twice": Case(GOOD, "items.csv, row 4, column 'item': id '1' occurs before, in row 2", options=ITEMS,
                          extra={"items.csv": "item,c\n1,x\n2,y\n1,z\n"}),
    "an item without an id": Case(GOOD, "dropped 1: rows of items.csv without an id", options=ITEMS, kept=3,
                                  extra={"items.csv": "item,c\n1,x\n,y\n2,z\n"}),
    "features of a fraction": Case(GOOD, "items.csv: lacks 1 of the log's 2 ids", options=ITEMS, kept=3,
                                   extra={"items.csv": "item,c\n1,x\n"}),
    "an item only in the features": Case(GOOD, "items.csv: 1 items without events stay", options=ITEMS, kept=3,
                                         extra={"items.csv": "item,c\n1,x\n2,y\n3,z\n"}),
    "features of other items": Case(GOOD, "lists none of the log's ids", options=ITEMS,
                                    extra={"items.csv": "item,c\nx,1\n"}),
    "no such category": Case(GOOD, "no column 'color'; perhaps you meant 'colour'", options=f"{ITEMS} --category color",
                             extra={"items.csv": "item,colour\n1,x\n"}),
    "an empty category": Case(GOOD, "column 'c': the category has no values", options=f"{ITEMS} --category c",
                              extra={"items.csv": "item,c\n1,\n2,\n"}),
    "an infinite feature": Case(GOOD, "items.csv, row 3, column 'c': inf is not a finite number", options=ITEMS,
                                extra={"items.csv": "item,c\n1,3\n2,inf\n"}),
    "a feature file cut short": Case(GOOD, "items.csv, line 2: unexpected end of data", options=ITEMS,
                                     extra={"items.csv": 'item,c\n1,"x\n'}),
    "users without events": Case(GOOD, "dropped 1: rows of users.csv: users without events", kept=3,
                                 options="--users {}/users.csv", extra={"users.csv": "user,g\na,x\nb,y\nc,z\n"}),
    "features without a file": Case(GOOD, "items.csv: file not found", options=ITEMS),
}  # fmt: skip


def test_the_corpus_is_large():
    assert len(CASES) >= 80


@pytest.mark.parametrize("name", CASES)
def test_broken(name, tmp_path, capsys):
    case, folder = CASES[name], tmp_path / "raw"
    folder.mkdir()
    path = folder / case.file
    if isinstance(case.content, pl.DataFrame):
        case.content.write_parquet(path)
    elif callable(case.content):
        case.content(path)
    else:
        path.write_bytes(case.content.encode() if isinstance(case.content, str) else case.content)
    for extra, text in case.extra.items():
        (folder / extra).write_text(text)
    options = case.options.replace("{}", str(folder)).split()
    code = main(["data", "prepare", "table", "--log", str(path), "--out", str(tmp_path / "out"), *options])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    if case.kept is None:
        assert code == case.code, out
        assert case.said in err
        assert [path.name for path in tmp_path.iterdir()] == ["raw"]
        return
    assert code == 0, err
    assert case.said in out
    report = load_report(tmp_path / "out")
    of_events = [d.count for d in report.dropped if not d.reason.startswith("rows of")]
    assert (report.rows_kept, report.rows_read) == (case.kept, case.kept + sum(of_events))
    assert len(load(tmp_path / "out")) == case.kept


def test_a_file_that_may_not_be_read(tmp_path, capsys, monkeypatch):
    (tmp_path / "log.csv").write_text(GOOD)
    arguments = ["data", "prepare", "table", "--log", str(tmp_path / "log.csv"), "--out", str(tmp_path / "out")]
    opened = Path.open

    def refuse(path, *rest, **more):
        if path.name == "log.csv":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    assert main(arguments) == BAD_INPUT
    assert "log.csv: cannot be read (Permission denied); check its permissions" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


PREPARE = "prepare(TableConfig(Path(sys.argv[1])), Path(sys.argv[2]))"  # in a process of its own
IMPORTS = """
import os, resource, signal, sys
from pathlib import Path
from darlr.options import TableConfig
from darlr.data import store
from darlr.data.sources import prepare
from darlr.errors import DataError
"""


def _elsewhere(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return forked.run(IMPORTS + code, *arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size there")
def test_a_full_disk(tmp_path):
    (tmp_path / "log.csv").write_text(MANY)
    code = "resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))\n"
    code += f"try:\n    {PREPARE}\nexcept DataError as error:\n    sys.exit(str(error))"
    answer = _elsewhere(code, tmp_path / "log.csv", tmp_path / "out")
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"{tmp_path / 'out'}: cannot be written")
    assert "File too large" in answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv"]


KILLED = {  # where: the call that dies
    "before the manifest": ("store.json.dumps", "isinstance(a[0], dict) and 'schema' in a[0]"),
    "between the renames": ("os.rename", "'.draft-' in str(a[0])"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("place", KILLED)
def test_killed_while_preparing(place, earlier, tmp_path):
    """Nothing looks whole that is not; the next call puts an earlier data set back, tidies up and succeeds."""
    log, out = tmp_path / "log.csv", tmp_path / "out"
    log.write_text(GOOD)
    if earlier:
        prepare(TableConfig(log), out)
    call, when = KILLED[place]
    code = f"real = {call}\ndef die(*a, **k):\n    if {when}:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
    code += f"    return real(*a, **k)\n{call} = die\n{PREPARE}"
    assert _elsewhere(code, log, out).returncode == -signal.SIGKILL
    assert any(path.name.startswith(".out.") for path in tmp_path.iterdir())
    assert out.exists() == (earlier and place == "before the manifest")
    assert is_prepared(out) == earlier
    assert not earlier or len(load(out)) == 3
    prepare(TableConfig(log), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "out"]
