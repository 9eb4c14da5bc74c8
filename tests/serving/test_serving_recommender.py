"""A policy folder on its own: loaded, asked, and refused when it is not one."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from darlr.cli.main import main
from darlr.errors import ConfigError, RunError
from darlr.io.tensors import read_tensors, write_both
from darlr.serving.folder import read_policy
from darlr.serving.ids import NEW, Ids
from darlr.serving.recommender import load_policy
from tests import forked

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


def test_a_session_gets_the_items_of_the_frame(run: Path) -> None:
    policy, history = read_policy(run), [(3, 4.0), (5, 2.0)]
    known = policy.users.ids[0]
    answer = policy.recommend(known, 4, history=history, strategy="sample", request_id="r")
    found = load_policy(run).recommend(
        known, 4, zip([3, 5], [4.0, 2.0], strict=True), strategy="sample", request_id="r"
    )
    assert [(one.item, one.score, one.propensity) for one in found] == answer[:, ["item", "score", "propensity"]].rows()


def shown(answer: pl.DataFrame) -> list[tuple[Any, float]]:
    """Items and scores of one user."""
    return list(answer.select("item", "score").iter_rows())


def test_recommendations_are_the_policys_best_items(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "policy", tmp_path / "alone")  # needs no data, no world model, no run
    policy = read_policy(tmp_path / "alone")
    found = policy.recommend(3, 5)
    assert found.columns == ["user", "rank", "item", "score", "propensity", "known"]
    assert found["propensity"].to_list() == [1.0] * 5
    assert found["user"].to_list() == [3] * 5
    assert found["rank"].to_list() == [1, 2, 3, 4, 5]
    assert found["known"].all()
    assert found["item"].n_unique() == 5
    assert found["score"].is_sorted(descending=True)
    everything = policy.recommend("3", n=16)  # ids as text or as in the log
    assert everything[:5].equals(found)
    assert read_policy(run).recommend(3, n=5).equals(found)


def test_a_session_changes_what_comes_next(run: Path) -> None:
    policy = read_policy(run)
    first = policy.recommend(3, 1)["item"][0]
    liked, hated = (shown(policy.recommend(3, 16, history=[(first, reward)])) for reward in (5.0, 1.0))
    assert first not in dict(liked)
    assert len(liked) == 15  # more than there are
    assert liked != hated
    seen = [(item, 3.0) for item in policy.items.ids]
    assert policy.recommend(3, 5, history=seen).is_empty()


def test_ids_are_found_however_they_are_spelled(run: Path) -> None:
    policy = read_policy(run)
    wanted = shown(policy.recommend(3, 5, history=[(2, 4.0)]))
    assert shown(policy.recommend("3.0", 5, history=[("\u200b2 ", 4.0)])) == wanted
    names: list[str | int] = [f"user {code}" for code in range(24)]
    names[3], names[4] = "Jos\u00e9", "1"
    named = replace(policy, users=Ids(names))
    assert shown(named.recommend("Jose\u0301", 5, history=[(np.float64(2), 4.0)])) == wanted
    assert named.recommend("1", 1)["known"].all()
    assert not named.recommend("1.0", 1)["known"].any()  # not all ids are numbers: it may be another one


def test_a_history_may_come_from_anywhere(run: Path) -> None:
    policy = read_policy(run)
    events = [(7, 4.0), (2, 1.0), (5, 3.0)]
    wanted = policy.recommend(3, 5, history=events)
    assert policy.recommend(3, 5, history=zip([7, 2, 5], np.array([4.0, 1.0, 3.0]), strict=True)).equals(wanted)
    assert policy.recommend(3, np.int64(5), history=(event for event in events)).equals(wanted)
    assert policy.recommend(3, 5, history={3: events, 4: [(1, 1.0)]}).equals(wanted)
    assert policy.recommend(3, 5, history={"3": events}).equals(wanted)
    assert policy.recommend("3", 5, history={3: events}).equals(wanted)
    nothing = np.array(events).astype(object).tolist()[:0]
    assert policy.recommend(3, 5, history=nothing).equals(policy.recommend(3, 5))
    low, high = policy.policy.recommender.low, policy.policy.recommender.high
    assert len(policy.recommend(3, 1, history=[(7, low), (2, high)]))  # the ends of the range belong to it


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([(2, None)], "reward of item 2 must be a number, not None"),
        ([(2, "4")], "reward of item 2 must be a number, not '4'"),
        ([(2, 10**400)], "reward of item 2 must be a number"),
        ([(2, float("nan"))], "reward of item 2 must be a number, not nan"),
        (zip([2, 3], [1.0, float("nan")], strict=True), "reward of item 3 must be a number, not nan"),
        ([(2, 50)], "reward of item 2 is 50, outside the log's range of 1 to 5; use its units"),
        ([("hat", 50)], "reward of item 'hat' is 50, outside the log's range"),
        ([(2, float("inf"))], "outside the log's range"),
        ([(2, -1.0)], "outside the log's range"),
        (["ab"], "'ab' is no event; give"),
        ([5], "5 is no event"),
        ([(5,)], "is no event"),
        ("sku", "'sku' holds no events"),
        ({2: 4.0}, "4.0 holds no events"),
        ({3: {2: 4.0}}, "holds no events"),
    ],
)
def test_a_history_that_says_nothing_is_refused(run: Path, history: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"option history: .*{message}"):
        read_policy(run).recommend(3, 5, history=history)


def test_options_that_cannot_work_are_refused(run: Path) -> None:
    policy = read_policy(run)
    for count in (2.0, None, "3"):
        with pytest.raises(ConfigError, match="option n: must be a whole number"):
            policy.recommend(3, count)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="option n: must be at least 1, not 0"):
        policy.recommend(3, n=0)
    with pytest.raises(ConfigError, match="option history: several users need a mapping"):
        policy.recommend([3, 4], history=[(2, 4.0)])
    with pytest.raises(ConfigError, match=r"option only: 2\.5 holds no item ids"):
        policy.recommend(3, only=2.5)  # type: ignore[arg-type]


def test_a_default_of_float64_changes_nothing(tmp_path: Path, run: Path) -> None:
    more = ["--recommender.belief", "1", "--recommender.caution", "5"]
    plus, again = tmp_path / "plus", tmp_path / "again"
    assert main(["train", "--out", str(plus), *TINY.split(), *more]) == 0

    def asked(folder: Path) -> list[Any]:
        return read_policy(folder).recommend([3, NEW], 5, history={u: [(7, 4.0), (2, 1.0)] for u in (3, NEW)}).rows()

    wanted = [asked(folder) for folder in (run, plus)]
    torch.set_default_dtype(torch.float64)
    try:
        assert [asked(folder) for folder in (run, plus)] == wanted
        assert main(["train", "--out", str(again), *TINY.split(), *more]) == 0
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert asked(again) == wanted[1]


def test_folders_that_hold_no_policy(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no trained policy here"):
        read_policy(tmp_path)
    shutil.copytree(run / "policy", tmp_path / "p")
    facts = json.loads((tmp_path / "p" / "policy.json").read_text("utf-8"))
    for broken, message in [
        ({**facts, "schema": 99}, "schema 99"),
        ({**facts, "item_ids": facts["item_ids"][:-1]}, "damaged policy"),
        ({key: value for key, value in facts.items() if key != "reward_range"}, "damaged policy"),
        ([], "schema None"),
    ]:
        (tmp_path / "p" / "policy.json").write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(RunError, match=message):
            read_policy(tmp_path / "p")
    (tmp_path / "p" / "policy.json").write_text(json.dumps(facts), encoding="utf-8")
    (tmp_path / "p" / "policy.safetensors").write_bytes(b"short")
    with pytest.raises(RunError, match="damaged policy"):
        read_policy(tmp_path / "p")


def set_in(facts: dict[str, Any], name: str, value: object) -> None:
    """Change what a dotted name stands for."""
    *path, last = name.split(".")
    for part in path:
        facts = facts[part]
    facts[last] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, t: f.update(item_ids=[1] * 16), "item ids repeat"),
        (lambda f, t: f.update(item_ids=[[n] for n in range(16)]), "item ids must be all text or all integers"),
        (lambda f, t: f.update(item_ids=["a", *range(15)]), "item ids must be all text or all integers"),
        (lambda f, t: f.update(item_ids=[True, False] * 8), "item ids must be all text or all integers"),
        (lambda f, t: f.update(user_ids={str(n): n for n in range(24)}), "no list of user ids"),
        (lambda f, t: f.update(user_ids=list(range(23))), r"users is of shape \(24, \d+\), not \(23, \d+\)"),
        (lambda f, t: f.update(reward_range=[5.0, 1.0]), "reward_range 5.0 to 1.0 is empty"),
        (lambda f, t: f.update(reward_range=["1", 5]), "must hold finite numbers, not '1'"),
        (lambda f, t: f.update(reward_range=[1]), "not enough values"),
        (lambda f, t: f.update(reward_range=7), "damaged policy"),
        (lambda f, t: f.update(leaving=[10**9, 0.0]), "no window and threshold"),
        (lambda f, t: f.update(leaving=[1, 10**9]), "no window and threshold"),
        (lambda f, t: f.update(recommender=[]), "damaged policy"),
        (lambda f, t: set_in(f, "recommender.tracker.layers", 10**7), "more layers than there are weights"),
        (lambda f, t: set_in(f, "recommender.a2c.hidden", [1] * 10**5), "more layers than there are weights"),
        (lambda f, t: set_in(f, "recommender.tracker.window", 10**9), "a window of 1000000000 items"),
        (lambda f, t: set_in(f, "recommender.tracker.dim", 10**9), "damaged policy"),
        (lambda f, t: set_in(f, "recommender.tracker.dim", 10**30), "damaged policy"),
        (lambda f, t: set_in(f, "recommender.a2c.hidden", [10**7, 10**7]), "weights do not fit the options"),
        (lambda f, t: set_in(f, "recommender.tracker.layers", "2"), "damaged policy"),
        (lambda f, t: set_in(f, "recommender.prior", "much"), "recommender.*must be float|prior must be float"),
        (lambda f, t: set_in(f, "recommender.belief", 1.0), "needs a prior and features of preferences"),
        (lambda f, t: t.update(certainty=torch.ones(16)), "certainty without the logged items"),
        (lambda f, t: f.pop("leaving"), "damaged policy"),
        (lambda f, t: t.update(items=t["items"][0]), "items is of shape"),
        (lambda f, t: t.update(items=t["items"].double()), "items is of type float64"),
        (lambda f, t: t.update(users=t["users"][:, :3].clone()), "users is of shape"),
        (lambda f, t: t.update(reward=t["reward"][:, :3].clone()), "reward is of shape"),
        (lambda f, t: t.update(reward=t["reward"] * torch.inf), "reward has a NaN or infinite value"),
        (lambda f, t: t["weights.heads.critic.bias"].fill_(torch.nan), "has a NaN or infinite value"),
        (lambda f, t: t.update({"weights.heads.critic.bias": torch.zeros(2)}), "weights do not fit"),
        (lambda f, t: t.update({"weights.more": torch.zeros(2)}), "weights do not fit"),
        (lambda f, t: t.pop("items"), "damaged policy"),
        (lambda f, t: t.pop("fold.mean"), "damaged policy"),
        (lambda f, t: t.update({"fold.factors": t["fold.factors"][:-1].clone()}), "fold.factors is of shape"),
        (lambda f, t: t.update({"fold.factors": torch.zeros(16, 2000)}), "of shape|more than 1000"),
        (lambda f, t: t.update({"carried.weight": torch.zeros(1, 16)}), "carried.weight is of shape"),
        (lambda f, t: t.update({"feedback.columns": torch.arange(16) + 1}), "not codes of 16 items"),
        (lambda f, t: t.update({"feedback.mean": torch.zeros(3)}), "feedback.mean is of shape"),
        (lambda f, t: set_in(f, "newcomers.noise", 0.0), "noise must be above 0"),
        (lambda f, t: set_in(f, "newcomers.feedback.scale", -1.0), "scale must be above 0"),
        (lambda f, t: set_in(f, "newcomers.range", [5, 1]), "is empty"),
        (lambda f, t: t.update({"logged.items": t["logged.items"] + 16}), "are not codes of 16 items"),
        (
            lambda f, t: t.update({"logged.start": t["logged.start"][1:].clone()}),
            "logged.start is of shape",
        ),
        (lambda f, t: t.update({"logged.start": t["logged.start"].flip(0)}), "do not begin and end"),
    ],
)
def test_policies_with_right_checksums_that_contradict_themselves(
    run: Path, tmp_path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object], message: str
) -> None:
    """Whoever sends a policy can count its checksum: nothing hangs, nothing large is made, one error comes."""
    facts = json.loads((run / "policy" / "policy.json").read_text("utf-8"))
    tensors, _ = read_tensors(run / "policy" / "policy.safetensors", "")
    change(facts, tensors)
    write_both(tmp_path / "policy.safetensors", tmp_path / "policy.json", tensors, facts)
    with pytest.raises(RunError, match=message):
        read_policy(tmp_path)


def test_weights_too_large_to_add_up_are_no_recommendation(run: Path, tmp_path: Path) -> None:
    facts = json.loads((run / "policy" / "policy.json").read_text("utf-8"))
    tensors, _ = read_tensors(run / "policy" / "policy.safetensors", "")
    tensors["weights.heads.actor.weight"].fill_(3e38)
    write_both(tmp_path / "policy.safetensors", tmp_path / "policy.json", tensors, facts)
    with pytest.raises(RunError, match="no finite numbers"):
        read_policy(tmp_path).recommend(3)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")
@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_a_pipe_or_a_folder_in_a_policys_place(run: Path, tmp_path: Path, name: str) -> None:
    for make in (os.mkfifo, os.mkdir):
        folder = tmp_path / make.__name__
        shutil.copytree(run / "policy", folder)
        (folder / name).unlink()
        make(folder / name)
        with pytest.raises(RunError, match="no plain file"):
            read_policy(folder)


def test_on_the_command_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["recommend", str(run), "--user", "3", "-n", "2", "--history", "5:4", "6:1.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = shown(read_policy(run).recommend("3", 2, history=[("5", 4.0), ("6", 1.5)]))
    assert found == [{"item": item, "score": score, "propensity": 1.0} for item, score in wanted]
    assert main(["recommend", str(run), "--user", "3", "-n", "99"]) == 0
    said = capsys.readouterr()
    assert "16 of 99: no other items may be recommended" in said.err
    assert main(["recommend", str(run), "--user", "nobody", "--history", "hat:4"]) == 0
    said = capsys.readouterr().err
    assert "user 'nobody' is not in the log" in said
    assert "warning: option history: items that the log does not hold were left out: 'hat'" in said
    for arguments, message in [
        (["--user", "3", "--history", "5"], "option --history: '5' is not ITEM:REWARD"),
        (["--user", "3", "--history", "5:nan"], "option --history: '5:nan' is not ITEM:REWARD"),
        (["--user", "3", "-n", "0"], "option --count: must be at least 1"),
        (["--user", "3", "--strategy", "sample"], "option --request-id: strategy sample draws items; name the request"),
        (["--user", "3", "--epsilon", "2"], "option --epsilon: must be a number from 0 to 1, not 2.0"),
    ]:
        assert main(["recommend", str(run), *arguments]) == (2 if "option" in message else 1)
        assert message in capsys.readouterr().err


def test_the_policy_is_the_one_that_was_trained(run: Path) -> None:
    from darlr.experiments.finished import open_run
    from darlr.simulation.session import reset

    finished = open_run(run)
    session = reset(torch.arange(24), 16, 5)
    loaded = read_policy(run).policy.recommender
    assert torch.equal(
        finished.recommender(finished.recommender.observe(session)).logits, loaded(loaded.observe(session)).logits
    )


def test_ids_are_shown_as_they_are(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ["shoe[red]42", "[bold]", "[/new]", ":smile:", "日本", "\x1b[31mred", "two\nlines"]
    same = {"user": ["3"] * 7, "rank": range(1, 8), "known": [True] * 7, "propensity": [1.0] * 7}
    found = pl.DataFrame({"item": ids, "score": [1e-5 * place for place in range(1, 8)], **same})
    policy = SimpleNamespace(recommend=lambda *_, **__: found)
    monkeypatch.setattr("darlr.cli.recommend.open_policy", lambda _: policy)
    assert main(["recommend", "run", "--user", "3", "-n", "7"]) == 0
    said = capsys.readouterr().out
    for shown in [*ids[:5], r"\x1b[31mred", r"two\nlines", "1.00e-05"]:
        assert shown in said
    assert "\x1b" not in said


def test_an_encoding_without_the_letters() -> None:
    streams = "import sys; [one.reconfigure(encoding='cp1252') for one in (sys.stdout, sys.stderr)]\n"
    code = "from darlr.cli.main import main; sys.exit(main(['recommend', 'x日本', '--user', '1']))"
    show = "from rich.console import Console; from darlr.cli.main import main; main(['-V']); Console().print('日本')"
    for program, rc, wanted in ((code, 1, r"x\u65e5\u672c"), (show, 0, r"\u65e5\u672c")):
        done = forked.run(streams + program)
        assert done.returncode == rc, done.stderr
        assert wanted in done.stdout + done.stderr
