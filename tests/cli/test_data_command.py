"""`darlr data`: every source prepared, described, trained on and evaluated where there is a truth."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.data.store import load, load_report
from darlr.evaluation.public_truths import COMPLETED
from darlr.evaluation.truth import load_truth
from tests.raw import kuairand, yahoo

Refused = Callable[..., str]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """12 users by 6 items, with a category for items, as CSV."""
    lines = [f"u{user},i{item},{(user * item) % 5 + 1}" for user in range(12) for item in range(6) if (user + item) % 3]
    (tmp_path / "log.csv").write_text("\n".join(["who,what,stars", *lines]) + "\n")
    (tmp_path / "items.csv").write_text("what,kind\n" + "".join(f"i{item},k{item % 3}\n" for item in range(6)))
    return tmp_path / "log.csv"


def test_from_a_users_own_table_to_a_recommendation(
    events: Path, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["--user", "who", "--item", "what", "--reward", "stars"]
    extra = ["--items", str(tmp_path / "items.csv"), "--category", "kind", "--reward-range", "1", "5"]
    prepare = ["data", "prepare", "table", "--log", str(events), *columns, *extra, "--out", str(tmp_path / "mine")]
    assert main(prepare) == 0
    said = capsys.readouterr()
    assert "log: 48 events, 12 users, 6 items" in said.out
    assert "category: kind" in said.out
    assert f"next: darlr train --data {tmp_path / 'mine'}" in said.err
    assert main(["data", "info", str(tmp_path / "mine")]) == 0
    assert "48 of 48 rows kept" in capsys.readouterr().out
    assert main(prepare) == 0  # again: replaced

    run = tmp_path / "run"
    options = [option for option in tiny if option != "5"]
    options[options.index("--session.turns") : options.index("--session.turns") + 1] = ["--session.turns", "4"]
    assert main(["train", "--data", str(tmp_path / "mine"), "--out", str(run), *options, "--epochs", "1"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--no-pictures", "--only", "learned"]) == 0  # a kept event or two a user
    assert "warning: no truth is known" in capsys.readouterr().err
    assert main(["recommend", str(run), "--user", "u3", "-n", "2", "--history", "i1:4"]) == 0
    assert "i1" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["u0,i0,1", "u1,i1,2"], "no user has two events"),
        ([f"u{n // 4},i{n % 4},{n % 3}" for n in range(40)], "option selector.picks: 10"),
        ([f"u{n // 2},i{n % 4},{n % 3}" for n in range(400)], None),
    ],
)
def test_check_foresees_what_train_refuses(
    lines: list[str], reason: str | None, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.csv").write_text("\n".join(["user,item,reward", *lines]) + "\n")
    assert main(["data", "prepare", "table", "--log", str(tmp_path / "log.csv"), "--out", str(tmp_path / "d")]) == 0
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "d"), "--json"]) == 0
    found = [entry["means"] for entry in json.loads(capsys.readouterr().out)["findings"] if "train" in entry["found"]]
    if reason is None:
        assert found == []
        return
    assert reason in found[0]
    said = refused("train", "--data", tmp_path / "d", "--out", tmp_path / "run", code=2 if "option" in reason else 1)
    assert said.replace("option --", "option ") == f"darlr: {found[0]}\n"


def test_a_bad_table_writes_nothing(events: Path, tmp_path: Path, refused: Refused) -> None:
    prepare = ["data", "prepare", "table", "--log", events, "--out", tmp_path / "mine"]
    assert "user" in refused(*prepare)
    columns = ["--user", "who", "--item", "what", "--reward", "stars"]
    with events.open("a") as file:
        file.write("u1,i1,good\n")
    said = refused(*prepare, *columns)
    assert "log.csv" in said
    assert "row 50" in said
    assert "stars" in said
    assert "option --reward-range" in refused(*prepare, *columns, "--reward-range", "5", "1", code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.csv", "log.csv"]


def test_the_synthetic_world_is_prepared_with_its_truth(tmp_path: Path) -> None:
    size = ["--users", "24", "--items", "16", "--categories", "4", "--seed", "3"]
    assert main(["data", "prepare", "synthetic", "--out", str(tmp_path / "s"), *size]) == 0
    truth = load_truth(str(tmp_path / "s"))
    assert truth is not None
    assert truth.reward.shape == (24, 16) == (load(tmp_path / "s").n_users, load(tmp_path / "s").n_items)


def test_coat(tmp_path: Path, data_folder: Path, refused: Refused) -> None:
    assert main(["data", "prepare", "coat", "--out", str(tmp_path / "coat"), "--raw", str(data_folder)]) == 0
    assert load(tmp_path / "coat").n_users == 290
    assert load_truth(str(tmp_path / "coat")) is not None
    refused("data", "prepare", "coat", "--out", tmp_path / "none", "--raw", tmp_path)
    assert not (tmp_path / "none").exists()


def test_yahoo_from_raw_files_to_a_table_that_says_whose_truth_it_is(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    yahoo.write(tmp_path / "yahoo", users=24, songs=16, ratings=200, tested=15)
    data, run = tmp_path / "data", tmp_path / "run"
    assert main(["data", "prepare", "yahoo", "--raw", str(tmp_path), "--out", str(data)]) == 0
    assert f"note: truth: {COMPLETED}" in capsys.readouterr().out
    truth = load_truth(str(data))
    assert truth is not None
    assert truth.notes[0] == COMPLETED
    assert f"truth: {COMPLETED}" in load_report(data).notes
    assert main(["train", "--data", str(data), "--out", str(run), *tiny, "--epochs", "1"]) == 0
    assert main(["evaluate", str(run), "--only", "learned", "--no-pictures"]) == 0
    assert f"- truth: {COMPLETED}" in (run / "table.md").read_text()
    assert COMPLETED in " ".join(capsys.readouterr().err.split())


def test_kuairand_is_prepared_with_its_truth_or_not_at_all(tmp_path: Path, refused: Refused) -> None:
    kuairand.write(tmp_path / "kuairand", users=20, videos=12, standard=100, random=200)
    prepare = ["data", "prepare", "kuairand", "--raw", str(tmp_path), "--out", str(tmp_path / "out")]
    (tmp_path / "kuairand" / kuairand.RANDOM).rename(tmp_path / "kept")
    assert "file not found" in refused(*prepare)
    assert not (tmp_path / "out").exists()
    (tmp_path / "kept").rename(tmp_path / "kuairand" / kuairand.RANDOM)
    assert main(prepare) == 0
    assert load(tmp_path / "out").n_items == 12
    assert load_truth(str(tmp_path / "out")) is not None


def test_a_profile_for_people_and_machines(capsys: pytest.CaptureFixture[str], refused: Refused) -> None:
    assert main(["data", "check", "synthetic"]) == 0
    assert "below: least | quartiles | greatest" in capsys.readouterr().out
    assert main(["data", "check", "synthetic", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["profile"]["users"] == 300
    assert all(finding["do"] for finding in found["findings"])
    assert found["report"]["rows_kept"] == found["profile"]["events"]
    assert "neither a built-in data set nor a folder" in refused("data", "check", "nowhere")


def test_data_sets_are_listed_and_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pooch")
    monkeypatch.setenv("DARLR_DATA", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "coat.zip", "w") as archive:
        archive.writestr("coat/train.ascii", "1")
    assert main(["data", "download", "coat", "--mirror", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "NOT verified" in said
    assert f"coat is in {tmp_path / 'coat'}" in said
    assert main(["data", "list"]) == 0
    assert f"coat: at hand in {tmp_path / 'coat'}" in capsys.readouterr().out
    assert "Ask for data set R3" in refused("data", "download", "yahoo")
    assert "KuaiRec.zip: file not found" in refused("data", "download", "kuairec", "--mirror", tmp_path)


def test_a_check_repeats_what_the_reader_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("user,item,reward\nNULL,1,1\nb,2,0\n1.0,1,1\n1,1,1\n")
    assert main(["data", "prepare", "table", "--log", str(tmp_path / "log.csv"), "--out", str(tmp_path / "out")]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert len(said) == 2
    assert main(["data", "check", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == said
