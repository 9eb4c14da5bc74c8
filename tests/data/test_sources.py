from pathlib import Path

import pytest

from darlr.data.sources import open_source, prepare, raw_folder
from darlr.data.store import checksum
from darlr.errors import DataError
from darlr.io import places
from darlr.options import SyntheticConfig

SMALL = SyntheticConfig(users=5, items=7, categories=3)


def test_a_prepared_folder_is_a_source(tmp_path):
    prepare("synthetic", tmp_path / "a b", options=SMALL)
    assert checksum(open_source(str(tmp_path / "a b"))) == checksum(open_source("synthetic", options=SMALL))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("synthetc", "perhaps you meant 'synthetic'"),
        ("movielens", "known: synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or a prepared folder"),
        (".", "no dataset.json"),
        (__file__, "darlr data prepare table"),
    ],
)
def test_unknown_sources(name, message):
    with pytest.raises(DataError, match=message):
        open_source(name)


def test_the_raw_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("DARLR_DATA", str(tmp_path))
    assert raw_folder() == tmp_path
    monkeypatch.delenv("DARLR_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", "/x")
    monkeypatch.setattr(places.sys, "platform", "linux")
    assert raw_folder() == Path("/x/darlr")
    monkeypatch.setattr(places.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert raw_folder() == Path("/local/darlr")


def test_coat_by_name(data_folder):
    assert len(open_source("coat", raw=data_folder)) == 6960


def test_no_home_and_no_name(monkeypatch):
    monkeypatch.delenv("DARLR_DATA", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DataError, match=r"no home folder .* set DARLR_DATA"):
        raw_folder()


def test_raw_data_at_an_address_are_refused(monkeypatch):
    monkeypatch.setenv("DARLR_DATA", "s3://bucket/raw")
    with pytest.raises(DataError, match=r"^s3://bucket/raw: is an address"):
        raw_folder()
