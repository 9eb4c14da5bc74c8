"""Paths are literal unless a user gave a pattern, and no file of a folder is lost without a word."""

import os
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from darlr.data.sets.registry import public_set
from darlr.data.sources import open_source
from darlr.data.store import checksum, load, save
from darlr.data.tabular.file import read_plain_file, scan_numbers
from darlr.data.tabular.inputs import log_files
from darlr.data.tabular.read_table import read_events, read_table
from darlr.errors import DataError
from darlr.experiments.runs import Run
from darlr.options import TableConfig

HERE, THERE = "user,item,reward\n1,1,3\n2,1,4\n", "user,item,reward\n1,1,3\n2,1,4\n3,1,5\n"
ODD = ("vol[1]", "d?x", "a*b", "~", "{a,b}")
NEIGHBOURS = {"vol[1]": "vol1", "d?x": "dax", "a*b": "ab", "~": "home", "{a,b}": "a"}


@pytest.fixture(params=ODD)
def odd(request, tmp_path, monkeypatch):
    """A folder whose name looks like a pattern, named as seen from its parent, and a neighbour that it would match."""
    for name, text in ((request.param, HERE), (NEIGHBOURS[request.param], THERE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.csv").write_text(text)
        (tmp_path / name / "x.tsv").write_text(text.replace(",", "\t"))
        pl.read_csv(text.encode()).write_parquet(tmp_path / name / "x.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Path(request.param)


def test_a_name_that_looks_like_a_pattern_is_read_as_it_is(odd, tmp_path):
    for kind in ("csv", "parquet"):
        for named in (odd / f"x.{kind}", tmp_path / odd / f"x.{kind}", odd / f"*.{kind}"):
            log, report = read_table(TableConfig(named))
            assert (len(log), report.rows_read) == (2, 2)
    save(log, odd / "out", report)
    assert len(load(odd / "out")) == 2
    kinds = {"user": pl.Int32, "reward": pl.Float32}
    assert scan_numbers(odd / "x.csv", kinds).frame.height == 2
    assert read_plain_file(odd / "x.tsv", ("user", "item", "reward")).frame.height == 3  # with the header's line
    (odd / "x.csv").write_text("user,item,reward\n1,1,3\n2,1,?\n")
    with pytest.raises(DataError, match=r"row 3, column 'reward': '\?' is not a number"):
        scan_numbers(odd / "x.csv", kinds)


@pytest.fixture
def logs(tmp_path):
    """A folder of two files, one of them in a subfolder."""
    folder = tmp_path / "logs"
    (folder / "2024").mkdir(parents=True)
    (folder / "a.csv").write_text(HERE)
    (folder / "2024" / "b.csv").write_text(THERE)
    return folder


def names(found, folder):
    """Paths below the folder, as text."""
    return [str(file.relative_to(folder)) for file in found[0]]


def test_links_are_followed_and_each_file_counts_once(logs, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "c.csv").write_text(HERE)
    (logs / "2023").symlink_to(tmp_path / "far")
    (logs / "latest").symlink_to(logs / "2024")
    (logs / "up").symlink_to(logs)
    (logs / "z.csv").symlink_to(logs / "a.csv")
    for named in (logs, logs / "*", logs / "**"):
        assert names(log_files([named]), logs) == ["2023/c.csv", "2024/b.csv", "a.csv"]
    (logs / "2023" / "big_matrix.csv").write_text("x")
    (tmp_path / "kuairec").symlink_to(logs)
    assert public_set("kuairec").at_hand(tmp_path) == tmp_path / "kuairec" / "2023"


def test_what_is_left_out_is_counted_and_named(logs):
    (logs / "old.csv.bz2").write_text("packed")
    (logs / "2024" / ".c.csv").write_text("half")
    (logs / "2024" / "_SUCCESS").write_text("")  # no data anywhere
    (logs / "_temporary").mkdir()
    (logs / "notes.txt").write_text("read me")
    _, notes = log_files([logs])
    assert notes == [f"{logs}: left out .c.csv, _temporary, notes.txt and 1 more, hidden or of no known kind"]
    assert read_table(TableConfig(logs))[1].notes[0] == notes[0]
    for named in (logs / "2024" / "*", logs / "*.csv"):
        assert len(log_files([named])[0]) == 1
    (logs / "a.csv").unlink()
    (logs / "2024" / "b.csv").unlink()
    with pytest.raises(DataError, match=r"holds no file of a known kind \(.*\), but .c.csv, _temporary, notes.txt"):
        log_files([logs])


def test_a_link_to_nothing_and_an_unreadable_folder_are_refused(logs, monkeypatch):
    (logs / "gone.csv").symlink_to(logs / "nothing.csv")
    for named in (logs, logs / "*"):
        with pytest.raises(DataError, match=r"gone.csv: the link leads to no file; restore"):
            log_files([named])
    (logs / "gone.csv").unlink()
    scan = os.scandir

    def closed(path):
        if str(path).endswith("2024"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    for named in (logs, logs / "*" / "*.csv", logs / "**" / "b.csv", logs / "2024" / "*"):
        with pytest.raises(DataError, match=r"2024: cannot be read \(Permission denied\); check its permissions"):
            log_files([named])


def test_addresses_are_refused_whole(tmp_path):
    reads = {
        "abfss://box@host/x.parquet": lambda path: read_plain_file(path, ("a",)),
        "hf://datasets/x": lambda path: open_source(str(path)),
        "s3://bucket/out": lambda path: save(open_source("synthetic"), path, None),
        "s3://bucket/run": lambda path: Run.start(path, TableConfig(tmp_path)),
    }
    for address, read in reads.items():
        with pytest.raises(DataError, match=f"^{address.replace('*', '.')}: is an address, and only files"):
            read(Path(address))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_polars_reads_addresses(logs, kind):
    """A log of one file, of a pattern, of both, and of features; the same log as from paths."""
    if kind == "parquet":
        for file in (logs / "a.csv", logs / "2024" / "b.csv"):
            pl.read_csv(file).write_parquet(file.with_suffix(".parquet"))
    address = f"file://{logs}"
    for named in ((f"a.{kind}",), (f"2024/*.{kind}", f"a.{kind}")):
        far, near = (read_events([f"{place}/{name}" for name in named]) for place in (address, logs))
        assert checksum(far) == checksum(near)
    table = logs.parent / f"items.{kind}"
    items = pl.DataFrame({"item": [1, 2], "price": [3.5, 4.5]})
    items.write_csv(table) if kind == "csv" else items.write_parquet(table)
    (price,) = read_events(f"{logs}/a.csv", items=f"file://{table}").item_features
    assert price.values.tolist() == [3.5, 4.5]


def test_errors_name_the_address(logs, tmp_path):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("user,item,reward\n1,1,3\n2,1,many\n")
    empty = "the file is empty|cannot be read"
    (tmp_path / "empty.csv").write_text("")
    for address, problem in (
        (f"file://{wrong}", r", row 3, column 'reward': 'many' is not a number"),
        (f"file://{tmp_path}/none.parquet", r": cannot be read \(.*\); check the address"),
        (f"file://{tmp_path}/empty.csv", rf": {empty}"),
        (f"file://{logs}/*.csv", r": there is no column 'stars'"),
        (
            "nowhere://bucket/log.parquet",
            r": cannot be read \(.*\); check the address and the network, and that the acc",
        ),
        ("s3://bucket/logs", r": unknown kind of file; known: .*; for a folder add /\*\.parquet"),
    ):
        with pytest.raises(DataError, match=f"^{re.escape(address)}{problem}"):
            read_events(address, reward="stars" if "stars" in problem else "reward")
    with pytest.raises(DataError, match="is named twice"):
        read_events([f"file://{wrong}"] * 2)


class Served(SimpleHTTPRequestHandler):
    """A web server that answers with parts of files, as those of clouds do."""

    def do_GET(self):
        file = Path(self.translate_path(self.path))
        if not file.exists():
            self.send_error(404)
            return
        data = file.read_bytes()
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        start, stop = (part[1], part[2]) if part else ("0", "")
        start, stop = (
            (int(start), int(stop or len(data) - 1) + 1) if start else (max(0, len(data) - int(stop)), len(data))
        )
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(len(data[start:stop])))
        if part:
            self.send_header("Content-Range", f"bytes {start}-{start + len(data[start:stop]) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(data[start:stop])

    def log_message(self, *_):
        pass


def test_a_log_is_read_over_http(logs):
    pl.read_csv(logs / "a.csv").write_parquet(logs / "a.parquet")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Served, directory=logs)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for kind in ("csv", "parquet"):
            far = read_events(f"http://127.0.0.1:{server.server_port}/a.{kind}")
            assert checksum(far) == checksum(read_events(f"{logs}/a.{kind}"))
        with pytest.raises(DataError, match=r"/none\.parquet: cannot be read \(.*404"):
            read_events(f"http://127.0.0.1:{server.server_port}/none.parquet")
        server.shutdown()
