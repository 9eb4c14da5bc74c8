"""`darlr export`: rows of a run's tables as policies for serving."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import darlr.cli.export
from darlr.cli.export import rows_of
from darlr.cli.main import main
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.store import load, save
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import load_truth
from darlr.experiments.finished import open_run
from darlr.options import SyntheticConfig
from darlr.serving.folder import read_policy
from darlr.serving.read import open_policy
from darlr.serving.versions import versions
from darlr.simulation.exits import build_exit

WORLD = SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)


@pytest.mark.parametrize(
    "row",
    ["popularity list", "item-mean list", "bias-model list", "world-model greedy", "neighbour-table greedy"],
)
@pytest.mark.parametrize("aware", ["", ", exit-aware"])
def test_a_served_row_shows_what_its_table_played(trained: Path, tmp_path: Path, row: str, aware: str) -> None:
    assert main(["export", str(trained), "--row", row + aware, "--out", str(tmp_path / "policy")]) == 0
    served, run = read_policy(tmp_path / "policy"), open_run(trained)
    entry, truth = rows_of(run)[row + aware], load_truth("synthetic", options=run.config.synthetic)
    assert truth is not None
    session = run.config.train.session
    rule = build_exit(session, run.logs.catalogue)
    (policy,) = entry.policies
    played = play(policy, truth, 16, rule, mode="NX_0", turns=4, exit_aware=entry.exit_aware)
    ids = run.logs.unseen_in_scope.item_ids
    for user in (0, 7, 23):
        history: list[tuple[str | int, float]] = []
        for turn in range(int(played.length[user])):
            found = served.recommend(user, 16, history=history)
            first = found["item"][0]
            assert first == ids[int(played.items[user, turn])]
            assert found["score"].is_sorted(descending=True)
            history.append((first, float(played.rewards[user, turn])))


def test_the_trained_policy_and_its_start(trained: Path, tmp_path: Path) -> None:
    for row, name in (([], "trained"), (["--row", "DARLR"], "named"), (["--row", "DARLR, start"], "start")):
        assert main(["export", str(trained), *row, "--out", str(tmp_path / name)]) == 0
    found = {name: read_policy(tmp_path / name).recommend(3, 16).rows() for name in ("trained", "named", "start")}
    assert found["trained"] == found["named"] == read_policy(trained).recommend(3, 16).rows()
    assert found["start"] != found["trained"]


def test_versions_stay_and_a_pointer_says_which_is_in_use(
    trained: Path, tmp_path: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    shop, rows = tmp_path / "shop", ("item-mean list", "popularity list", "item-mean list")
    for row in rows:
        assert main(["export", str(trained), "--row", row, "--to", str(shop)]) == 0
    first, second = versions(shop)
    assert sorted(path.name for path in shop.iterdir()) == sorted((first, second, "current"))
    assert open_policy(shop).version == first
    capsys.readouterr()
    assert main(["point", str(shop), second]) == main(["point", str(shop)]) == 0
    assert capsys.readouterr().out.splitlines() == [first, f"{second}  in use"]
    assert open_policy(shop).version == second
    assert "holds no version 'nothing'; it holds" in refused("point", shop, "nothing")
    (shop / "current").write_text("../shop", "utf-8")
    assert "which is no version here" in refused("recommend", shop, "--user", "1")
    assert "holds no versions" in refused("point", tmp_path)
    assert "option --out: give it" in refused("export", trained, code=2)
    assert "and not both" in refused("export", trained, "--out", shop, "--to", shop, code=2)
    assert "is the folder of a run" in refused("export", trained, "--to", trained)
    assert "is a policy folder" in refused("export", trained, "--to", shop / first)


def test_refused(trained: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    out = tmp_path / "out"
    said = refused("export", trained, "--row", "item-mean lst", "--out", out, code=2)
    assert "option --row: the run has no row 'item-mean lst'" in said
    assert "perhaps you meant 'item-mean list'; these can: " in said
    for row in ("oracle (truth)", "random"):
        assert "can be served" in refused("export", trained, "--row", row, "--out", out, code=2)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("dear", encoding="utf-8")
    assert "is no policy folder" in refused("export", trained, "--out", out)
    assert (out / "mine.txt").read_text("utf-8") == "dear"


def test_refitted_rows_know_the_whole_log(tmp_path: Path, tiny: list[str]) -> None:
    log = generate(WORLD).log
    save(log, tmp_path / "data", PrepareReport("test", rows_read=len(log), rows_kept=len(log)))
    run, epochs = tmp_path / "run", ["--epochs", "1"]
    assert main(["train", "--data", str(tmp_path / "data"), "--out", str(run), *tiny, *epochs]) == 0
    count = np.bincount(load(tmp_path / "data").item, minlength=16)
    shown = {}
    for name, more in (("part", []), ("whole", ["--refit"])):
        assert main(["export", str(run), "--row", "popularity list", "--out", str(tmp_path / name), *more]) == 0
        shown[name] = read_policy(tmp_path / name).recommend(0, 16)["item"].to_list()
    assert shown["whole"] == sorted(range(16), key=lambda item: (-count[item], item))
    assert shown["part"] != shown["whole"]
    again = tmp_path / "new" / "again"
    assert main(["export", str(run), "--out", str(again), "--refit"]) == 0
    assert len(read_policy(again).recommend(0, 5)) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "new", "part", "run", "whole"]
    assert [path.name for path in again.parent.iterdir()] == ["again"]


def test_an_interrupted_refit_names_no_folder_that_is_gone(
    trained: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("continue with: darlr train --out gone --resume")

    monkeypatch.setattr(darlr.cli.export, "train_run", stop)
    said = refused("export", trained, "--refit", "--out", tmp_path / "policy", code=130)
    assert "gone" not in said
    assert "nothing was exported" in said
    assert not list(tmp_path.iterdir())
