"""A policy folder on its own: loaded, asked, and refused when it is not one."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from darlr.cli import main
from darlr.errors import DarlrError, RunError
from darlr.serving.recommender import load_policy

TINY = (
    "--synthetic.users 24 --synthetic.items 16 --synthetic.categories 4 --synthetic.events-per-user 8 "
    "--model.members 2 --model.hidden 8 --model.epochs 1 --epochs 1 --steps 80 --sessions 16 --session.turns 5 "
    "--method mopo --recommender.tracker.dim 8 --recommender.prior 1"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serving") / "run"
    assert main(["train", "--out", str(folder), *TINY.split()]) == 0
    return folder


def test_recommendations_are_the_policys_best_items(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "policy", tmp_path / "alone")  # needs no data, no world model, no run
    policy = load_policy(tmp_path / "alone")
    found = policy.recommend(3, count=5)
    assert len({one.item for one in found}) == 5
    chances = [one.probability for one in found]
    assert chances == sorted(chances, reverse=True)
    everything = policy.recommend("3", count=16)  # ids as text or as in the log
    assert everything[:5] == found
    assert sum(one.probability for one in everything) == pytest.approx(1)
    assert load_policy(run).recommend(3, count=5) == found


def test_a_session_changes_what_comes_next(run: Path) -> None:
    policy = load_policy(run)
    first = policy.recommend(3, count=1)[0].item
    liked, hated = (policy.recommend(3, 16, [(first, reward)]) for reward in (5.0, 1.0))
    assert first not in {one.item for one in liked}
    assert len(liked) == 15  # more than there are
    assert liked != hated
    seen = [(item, 3.0) for item in policy.item_ids]
    assert policy.recommend(3, 5, seen) == []


def test_what_cannot_be_recommended_is_refused(run: Path) -> None:
    policy = load_policy(run)
    with pytest.raises(DarlrError, match="user 99 is not in the log"):
        policy.recommend(99)
    with pytest.raises(DarlrError, match="item 'hat' is not in the log"):
        policy.recommend(3, history=[("hat", 1.0)])
    with pytest.raises(DarlrError, match="at least 1, not 0"):
        policy.recommend(3, count=0)
    with pytest.raises(DarlrError, match="reward of item 2 must be a number, not nan"):
        policy.recommend(3, history=[(2, float("nan"))])


def test_folders_that_hold_no_policy(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no trained policy here"):
        load_policy(tmp_path)
    shutil.copytree(run / "policy", tmp_path / "p")
    facts = json.loads((tmp_path / "p" / "policy.json").read_text("utf-8"))
    for broken, message in [
        ({**facts, "schema": 9}, "schema 9"),
        ({**facts, "item_ids": facts["item_ids"][:-1]}, "damaged policy"),
        ({key: value for key, value in facts.items() if key != "reward_range"}, "damaged policy"),
        ([], "schema None"),
    ]:
        (tmp_path / "p" / "policy.json").write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(RunError, match=message):
            load_policy(tmp_path / "p")
    (tmp_path / "p" / "policy.json").write_text(json.dumps(facts), encoding="utf-8")
    (tmp_path / "p" / "policy.safetensors").write_bytes(b"short")
    with pytest.raises(RunError, match="damaged policy"):
        load_policy(tmp_path / "p")


def test_on_the_command_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["recommend", str(run), "--user", "3", "-n", "2", "--history", "5:4", "6:1.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = load_policy(run).recommend("3", 2, [("5", 4.0), ("6", 1.5)])
    assert found == [{"item": one.item, "probability": one.probability} for one in wanted]
    assert main(["recommend", str(run), "--user", "3", "-n", "99"]) == 0
    said = capsys.readouterr()
    assert "16 of 99: the catalogue has no more" in said.err
    for arguments, message in [
        (["--user", "nobody"], "user 'nobody' is not in the log"),
        (["--user", "3", "--history", "5"], "option history: '5' is not ITEM:REWARD"),
        (["--user", "3", "--history", "5:nan"], "option history: '5:nan' is not ITEM:REWARD"),
        (["--user", "3", "-n", "0"], "option count: must be at least 1"),
    ]:
        assert main(["recommend", str(run), *arguments]) == 1
        assert message in capsys.readouterr().err


def test_the_policy_is_the_one_that_was_trained(run: Path) -> None:
    from darlr.simulation.session import reset
    from darlr.stages.finished import open_run

    finished = open_run(run)
    session = reset(torch.arange(24), 16, 5)
    loaded = load_policy(run).recommender
    assert torch.equal(
        finished.recommender(finished.recommender.observe(session)).logits, loaded(loaded.observe(session)).logits
    )
