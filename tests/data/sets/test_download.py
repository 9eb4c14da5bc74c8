"""Downloads without a network: from a local folder, a file:// address and a server of this process."""

import contextlib
import gc
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from darlr.data.sets import download as module
from darlr.data.sets.download import download
from darlr.data.sets.registry import SETS, DataSet, listed, public_set
from darlr.errors import ConfigError, DataError, MachineError

pytest.importorskip("pooch")

FILES = {"Set 2.0/LICENSE": b"free", "Set 2.0/data/events.csv": b"u,i\n1,2\n", "Set 2.0/data/more/x": b"x"}


def packed(kind: str) -> bytes:
    """An archive of the files above."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, content in FILES.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def entry_of(content: bytes, kind: str = "zip", **changes) -> DataSet:
    entry = DataSet(
        name="set",
        about="A set.",
        title="A set",
        licence="free",
        size="small",
        page="https://example.org/set",
        sign="events.csv",
        archive="set.zip" if kind == "zip" else "set.tar.gz",
        url="http://localhost:9/nowhere",
        known_hash=f"md5:{hashlib.md5(content).hexdigest()}",
    )
    return replace(entry, **changes)


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "a mirror"
    folder.mkdir()
    for kind, name in (("zip", "set.zip"), ("tar", "set.tar.gz")):
        (folder / name).write_bytes(packed(kind))
    return folder


def left(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("form", [str, lambda folder: folder.as_uri()])
def test_a_mirror_gives_a_whole_folder(kind, form, mirror, tmp_path):
    entry = entry_of((mirror / ("set.zip" if kind == "zip" else "set.tar.gz")).read_bytes(), kind)
    found = download(entry, tmp_path / "to", form(mirror))
    assert (found.folder, found.sha256) == (tmp_path / "to" / "set", None)
    assert left(found.folder) == ["LICENSE", "events.csv", "more"]
    assert (found.folder / "events.csv").read_bytes() == FILES["Set 2.0/data/events.csv"]
    assert left(tmp_path / "to") == ["set"]
    assert entry.at_hand(tmp_path / "to") == found.folder
    with pytest.raises(DataError, match="is there already; remove it"):
        download(entry, tmp_path / "to", str(mirror))


def test_without_a_checksum_it_says_what_came(mirror, tmp_path):
    content = (mirror / "set.zip").read_bytes()
    found = download(entry_of(content, known_hash=None), tmp_path / "to", str(mirror))
    assert found.sha256 == hashlib.sha256(content).hexdigest()


FAILURES = {
    "another checksum": ({"known_hash": "md5:" + "0" * 32}, {}, "does not match the checksum md5:000"),
    "another set": ({"sign": "other.csv"}, {}, "set.zip: holds no other.csv; is it set"),
    "not in the mirror": ({"archive": "none.zip"}, {}, "none.zip: file not found; the mirror must hold none.zip"),
    "cut": ({"known_hash": None}, {"cut": True}, "set.zip: is no whole archive"),
    "by hand only": ({"archive": None, "by_hand": "Ask."}, {}, "cannot be downloaded. Ask. Page: https://example.org/set"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_leaves_nothing(case, mirror, tmp_path):
    changes, how, message = FAILURES[case]
    path = mirror / "set.zip"
    content = path.read_bytes()
    if how:
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=message):
        download(entry_of(content, **changes), tmp_path / "to", str(mirror))
    assert left(tmp_path / "to") == []


def test_members_outside_the_folder_are_refused(mirror, tmp_path):
    with tarfile.open(mirror / "set.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("../../evil")
        archive.addfile(info, io.BytesIO(b""))
    with pytest.raises(DataError, match="is no whole archive"):
        download(entry_of(b"", "tar", known_hash=None), tmp_path / "to", str(mirror))
    assert left(tmp_path / "to") == []
    assert not (tmp_path / "evil").exists()


class Server(BaseHTTPRequestHandler):
    """Serves set.zip whole below /good, half of it with its full length below /cut, and 404 elsewhere."""

    def do_GET(self):
        content = packed("zip")
        if not self.path.startswith(("/good/", "/cut/")):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.path.startswith("/good/") else content[: len(content) // 2])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # requests leaves its socket open
def test_a_server_that_works_stops_half_way_or_has_it_not(server, tmp_path):
    entry = entry_of(packed("zip"), known_hash=None)
    assert left(download(entry, tmp_path / "to", f"{server}/good/").folder) == ["LICENSE", "events.csv", "more"]
    for place, message in (("cut", "cannot be downloaded"), ("none", "404 Client Error")):
        with pytest.raises(DataError, match=message) as error:
            download(entry, tmp_path / "other", f"{server}/{place}")
        assert "name its folder (option mirror)" in str(error.value)
    assert left(tmp_path / "other") == []
    gc.collect()


def test_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*refused"):
        download(entry_of(b""), tmp_path)
    assert left(tmp_path) == []


def test_what_a_killed_download_left_is_removed(mirror, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    to = tmp_path / "to"
    to.mkdir()
    mine = module.beside(to / "set", "download").name
    (to / mine.replace(str(os.getpid()), str(gone.pid))).mkdir()
    other = f".set.download-another-machine-{gone.pid}"
    (to / other).mkdir()
    download(entry_of(packed("zip"), known_hash=None), to, str(mirror))
    assert left(to) == [other, "set"]


def test_bad_options(mirror, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="sftp:// is not supported"):
        download(entry_of(b""), tmp_path, "sftp://example.org")
    with pytest.raises(DataError, match="perhaps you meant 'kuairec'"):
        public_set("kuairek")
    with pytest.raises(DataError, match="synthetic needs none"):
        public_set("synthetic")
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MachineError, match=r"pip install 'darlr\[download\]'"):
        download(entry_of(b""), tmp_path / "to", str(mirror))
    assert left(tmp_path / "to") == []


def test_the_list_says_what_is_at_hand(tmp_path):
    (tmp_path / "coat").mkdir()
    (tmp_path / "coat" / "train.ascii").write_text("")
    said = listed(tmp_path)
    assert f"coat: at hand in {tmp_path / 'coat'}" in said
    assert f"kuairec: not in {tmp_path / 'kuairec'}" in said
    assert "to get it: darlr data download kuairand" in said
    assert "to get it: Ask for data set R3" in said
    assert all(f"{name}: " in said for name in SETS)


def test_every_entry_says_how_it_is_got():
    for entry in (one for one in SETS.values() if one.folder):
        assert entry.archive or entry.by_hand
        assert entry.licence
        assert entry.page.startswith("https://")
        assert entry.url is None or entry.url.endswith(f"/{entry.archive}")
        with contextlib.suppress(AttributeError):
            assert entry.known_hash.startswith("md5:")
