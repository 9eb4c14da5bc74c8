"""What a practitioner does in ten lines: read, split, fit, recommend, evaluate, explain, save, load, make_env."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import darlr
from darlr.cli.main import main
from darlr.data.log import InteractionLog
from darlr.data.sets.synthetic import generate
from darlr.errors import ConfigError, DarlrWarning, DataError, MachineError
from darlr.methods.darlr import dynamic_reward
from darlr.options import SyntheticConfig

QUICK = {"steps": 300, "sessions": 8, "model": {"epochs": 1, "members": 2}, "session": {"turns": 10}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an event file and an item file, as a shop has them."""
    place = tmp_path_factory.mktemp("shop")
    log = generate(SyntheticConfig(users=20, items=16, categories=8, events_per_user=8)).log
    events = {
        "uid": [f"u{user}" for user in log.user],
        "sku": [f"sku-{item}" for item in log.item],
        "stars": log.reward.round(),
        "ts": np.arange(len(log)),
    }
    pl.DataFrame(events).write_csv(place / "events.csv")
    items = {"sku": [f"sku-{item}" for item in range(16)], "genre": [f"g{item % 5}" for item in range(16)]}
    pl.DataFrame(items).write_parquet(place / "items.parquet")
    return place


@pytest.fixture(scope="module")
def parts(folder: Path) -> tuple[InteractionLog, InteractionLog]:
    log = darlr.read_events(
        folder / "events.csv",
        user="uid",
        item="sku",
        reward="stars",
        timestamp="ts",
        items=folder / "items.parquet",
        category="genre",
    )
    return log.split(held_out=0.2, by="time")


@pytest.fixture(scope="module")
def model(parts: tuple[InteractionLog, InteractionLog]) -> darlr.Recommender:
    return darlr.Recommender("darlr", seed=0, **QUICK).fit(parts[0], epochs=2, progress=False)


def test_recommendations_obey_what_is_said(model: darlr.Recommender):
    found = model.recommend(
        ["u1", "u2"], n=3, history={"u1": [("sku-7", 4.0)]}, exclude=["sku-3"], only=[f"sku-{n}" for n in range(10)]
    )
    assert found.columns == ["user", "rank", "item", "score", "propensity", "known"]
    assert found["user"].to_list() == ["u1"] * 3 + ["u2"] * 3
    assert found["rank"].to_list() == [1, 2, 3] * 2
    assert set(found["item"]) <= {f"sku-{n}" for n in range(10)} - {"sku-3"}
    assert "sku-7" not in found.filter(pl.col("user") == "u1")["item"].to_list()
    alone = model.recommend("u2", n=3, exclude=["sku-3"], only=[f"sku-{n}" for n in range(10)])
    assert alone["item"].to_list() == found["item"].to_list()[3:]


def test_somebody_new_is_answered(model: darlr.Recommender):
    found = model.recommend(darlr.NEW, n=5, history=[("sku-9", 2.0)])
    assert len(found) == 5
    assert not found["known"].any()
    assert "sku-9" not in found["item"].to_list()
    with pytest.warns(DarlrWarning, match="sku-x"):
        model.recommend("nobody", n=2, history=[("sku-x", 2.0)])


def test_the_evaluation_prints_and_gives_frames(model: darlr.Recommender, parts: tuple[InteractionLog, InteractionLog]):
    found = darlr.evaluate(model, parts[1], progress=False)
    assert "DARLR" in str(found)
    assert "nDCG@10" in str(found)
    assert {"DARLR", "DARLR, start", "popularity list"} <= set(found.rows["name"])
    other = darlr.Recommender("mbpo", **QUICK).fit(parts[0], epochs=1, progress=False)
    both = darlr.evaluate([model, other], parts[1], only="learned", progress=False)
    assert {"DARLR", "MBPO"} <= set(both.rows["name"])
    assert "popularity list" not in set(both.rows["name"])
    with pytest.raises(DataError, match="its users are not those of the log"):
        darlr.evaluate(model, replace(parts[1], user_ids=tuple(f"x{n}" for n in range(parts[1].n_users))))
    with pytest.raises(ConfigError, match="name at least one"):
        darlr.evaluate([], parts[1])


def test_a_known_truth_is_played_on():
    synthetic = {"users": 20, "items": 16, "categories": 8, "events_per_user": 8}
    model = darlr.Recommender("mbpo", synthetic=synthetic, **QUICK).fit("synthetic", epochs=1, progress=False)
    assert "oracle (truth) †" in str(darlr.evaluate(model, progress=False))


def test_an_explanation_is_the_equations_of_the_paper(model: darlr.Recommender):
    found = model.explain("u1", "sku-7", [("sku-2", 3.0)])
    assert len(found.references) == 10
    assert "u1" not in found.references["user"].to_list()
    # Eq. 15: the mean of the references' entries of the start table
    assert found.reward == pytest.approx(np.mean(found.references["estimate"].to_list()), rel=1e-5)
    run = model.run
    users = [run.logs.known.user_ids.index(user) for user in found.references["user"]]
    start = run.world.neighbour_reward(run.config.train.tables)
    table = dynamic_reward(start, torch.tensor([users]), torch.tensor([run.logs.known.item_ids.index("sku-7")]))
    assert found.reward == pytest.approx(float(run.logs.unit.show(table)), rel=1e-5)
    assert found.penalty >= 0
    assert "It would" in str(found)
    # genres are n % 5: sku-2 and sku-7 share theirs, and then a category comes back
    assert found.leaves
    assert model.explain("u1", "sku-8", [("sku-2", 3.0)]).leaves is False
    with pytest.raises(DataError, match="item 'sku-99' is not in the log"):
        model.explain("u1", "sku-99")


def test_methods_without_references_explain_too(parts: tuple[InteractionLog, InteractionLog]):
    found = darlr.Recommender("mbpo", **QUICK).fit(parts[0], epochs=1, progress=False).explain("u1", "sku-7")
    assert found.references.is_empty()
    assert found.reward == pytest.approx(found.world_model)
    assert found.penalty == 0


def test_saved_and_loaded_it_recommends_and_explains_the_same(model: darlr.Recommender, tmp_path: Path):
    model.save(tmp_path / "shop")
    again = darlr.load(tmp_path / "shop")
    assert again.recommend(["u1", darlr.NEW], n=4).equals(model.recommend(["u1", darlr.NEW], n=4))
    assert str(again.explain("u1", "sku-7")) == str(model.explain("u1", "sku-7"))


def test_other_peoples_agents_play_in_its_session(model: darlr.Recommender):
    pytest.importorskip("gymnasium")
    env = darlr.make_env(model, sessions=6)
    seen, info = env.reset(seed=0)
    assert seen["user"].shape == (6,)
    _, reward, *_ = env.step(info["action_mask"].argmax(1))
    assert reward.shape == (6,)


def test_an_environment_without_gymnasium_names_the_extra(model: darlr.Recommender, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MachineError, match=r"needs gymnasium: install it with pip install 'darlr\[gym\]'"):
        darlr.make_env(model)


def test_the_command_line_answers_files_of_users_and_new_ones(
    model: darlr.Recommender, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model.save(tmp_path / "shop")
    shop = str(tmp_path / "shop")
    (tmp_path / "users.txt").write_text("u1\nu2\n\n", "utf-8")
    out = tmp_path / "answer.parquet"
    assert main(["recommend", shop, "--users", str(tmp_path / "users.txt"), "-n", "2", "--out", str(out)]) == 0
    assert pl.read_parquet(out).equals(model.recommend(["u1", "u2"], n=2))
    pl.DataFrame({"id": ["u3"]}).write_csv(tmp_path / "users.csv")
    assert main(["recommend", shop, "--users", str(tmp_path / "users.csv"), "-n", "2", "--json"]) == 0
    assert main(["recommend", shop, "--new", "--history", "sku-9:2", "-n", "2"]) == 0
    capsys.readouterr()
    (tmp_path / "headless.csv").write_text("u1\nu2\n", "utf-8")
    for words, code, message in (
        ([], 2, "name users with --user, --users or --new"),
        (["--user", "u1", "u2", "--history", "sku-9:2"], 2, "belongs to one user"),
        (["--user", "u1", "--user", "u2"], 2, "option --user: is given twice"),
        (["--users", "none.txt"], 1, "none.txt: file not found"),
        (["--users", str(tmp_path / "headless.csv")], 1, "must be a header, and 'u1' is a user"),
    ):
        assert main(["recommend", shop, *words]) == code
        assert message in capsys.readouterr().err
    assert main(["recommend", shop, "--user", "u1", "--only", "-n", "2"]) == 0  # nothing may be shown
    assert "0 of 2" in capsys.readouterr().err
