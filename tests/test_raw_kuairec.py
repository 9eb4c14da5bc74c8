"""Raw files of any size, made up in KuaiRec's layout: read by the reader, and slowly by hand."""

import csv
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.raw_kuairec import DATA, Size, write
from darlr.cli.main import main
from darlr.data.sources import read_source
from darlr.data.store import load
from darlr.evaluation.truth import load_truth

TINY = Size(events=600, users=30, videos=40, block_users=15, block_videos=8, cells=117, days=5, odd=0.04, repeats=0.1)
MATRIX = "user_id video_id play_duration video_duration time date timestamp watch_ratio"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    write(folder / DATA, TINY, seed=4)
    return folder


def rows(raw, name):
    with (raw / DATA / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ratio(row):
    return float(row["watch_ratio"] or "nan")


def test_the_layout_is_the_official_one(raw):
    big, small = rows(raw, "big_matrix"), rows(raw, "small_matrix")
    assert " ".join(big[0]) == " ".join(small[0]) == MATRIX
    assert (len(big), len(small)) == (600, 117)
    daily, users = rows(raw, "item_daily_features"), rows(raw, "user_features")
    assert (len(daily), len(daily[0]), list(daily[0])[7]) == (200, 58, "video_duration")
    assert (len(users), len(users[0]), list(users[0])[-1]) == (30, 31, "onehot_feat17")
    assert list(rows(raw, "item_categories")[0]) == ["video_id", "feat"]
    row = next(row for row in big if row["time"] and row["video_duration"] != "0")
    assert ratio(row) == int(row["play_duration"]) / int(row["video_duration"])
    assert row["date"] == row["time"][:10].replace("-", "") + ".0"
    local = datetime.fromtimestamp(float(row["timestamp"]), UTC) + timedelta(hours=8)
    assert local.isoformat(" ", "milliseconds")[:-6] == row["time"]


def test_every_odd_value_occurs(raw):
    big = rows(raw, "big_matrix")
    ratios = np.array([ratio(row) for row in big])
    assert np.isnan(ratios).any()
    assert np.isinf(ratios).any()
    assert (ratios < 0).any()
    assert any(not row["timestamp"] for row in big)
    assert any(first == second for first, second in pairwise(big))
    assert any(not row["video_duration"] for row in rows(raw, "item_daily_features"))


def test_the_reader_sees_what_a_slow_one_sees(raw):
    block = {key: {row[key] for row in rows(raw, "small_matrix")} for key in ("user_id", "video_id")}
    kept, gone = [], {"no watch ratio": 0, "a negative watch ratio": 0, "events on cells of the truth": 0}
    for row in rows(raw, "big_matrix"):
        if math.isnan(ratio(row)):
            gone["no watch ratio"] += 1
        elif ratio(row) < 0:
            gone["a negative watch ratio"] += 1
        elif all(row[key] in block[key] for key in block):
            gone["events on cells of the truth"] += 1
        else:
            kept.append((int(row["user_id"]), int(row["video_id"]), min(ratio(row), 5.0)))
    log, report = read_source("kuairec", raw=raw)
    found = list(zip(log.user.tolist(), log.item.tolist(), log.reward.tolist(), strict=True))
    assert sorted(found) == pytest.approx(np.array(sorted(kept)), rel=1e-6)
    assert {dropped.reason: dropped.count for dropped in report.dropped} == {k: v for k, v in gone.items() if v}
    assert min(gone.values()) > 0
    assert (np.diff(log.user) >= 0).all()
    assert (np.diff(log.timestamp)[np.diff(log.user) == 0] >= 0).all()


def test_the_same_seed_gives_the_same_bytes(raw, tmp_path):
    write(tmp_path, TINY, seed=4)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (raw / DATA / file.name).read_bytes()


def test_prepared_and_trained_on(raw, tmp_path, monkeypatch, capsys):
    assert main(["data", "prepare", "kuairec", "--raw", str(raw), "--out", str(tmp_path / "k")]) == 0
    said = capsys.readouterr()
    assert "recommends 8 of the items to 15 of the users" in said.out
    assert "truth: 3 cells without a watch ratio count 0" in said.out
    assert load(tmp_path / "k").reward_range == (0, 5)
    assert load_truth(str(tmp_path / "k")).reward.shape == (15, 8)
    arguments = ["--raw", str(raw), "--out", str(tmp_path / "n"), "--reward", "normalised"]
    assert main(["data", "prepare", "kuairec", *arguments]) == 0
    assert load(tmp_path / "n").reward_range == (0, 1)
    monkeypatch.setenv("DARLR_DATA", str(raw))
    small = "--model.members 2 --model.hidden 8 --model.embedding 4 --model.epochs 1 --epochs 1 --steps 32 --sessions 4"
    tiny = f"{small} --session.turns 4 --selector.picks 2 --recommender.tracker.dim 8 --selector.tracker.dim 8"
    assert main(["train", "--data", "kuairec", "--out", str(tmp_path / "run"), *tiny.split()]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--no-pictures"]) == 0
