"""What the commands share: fitting a world model into a folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from darlr.data.split import split
from darlr.errors import RunError
from darlr.experiments import world
from darlr.experiments.finished import HandedOver
from darlr.experiments.logs import Logs, open_logs
from darlr.experiments.watch import kept
from darlr.experiments.world import ORIGIN, fit_into, fit_model, load_world_model, world_of
from darlr.methods import usual
from darlr.options import RunConfig, SplitConfig, SyntheticConfig, WorldModelConfig
from darlr.options.names import override
from darlr.world.fit import Fit, train_world
from tests.world.models.test_history import two_preferences

SMALL = SyntheticConfig(users=30, items=20)
QUICK = WorldModelConfig(members=2, epochs=2, hidden=(4,), embedding=2)


@pytest.mark.parametrize("refit", [False, True])
def test_the_tables_are_predicted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refit: bool) -> None:
    finished: list[Fit] = []
    finish = Fit.finish
    monkeypatch.setattr(Fit, "finish", lambda self, *rest: finished.append(self) or finish(self, *rest))
    config = RunConfig(data="synthetic", synthetic=SMALL, split=SplitConfig(refit=refit))
    logs = open_logs(config)
    fitted = fit_into(tmp_path / "world", logs, config.split, QUICK)
    assert len(finished) == 1
    used = logs.whole if refit else logs.train
    assert finished[0].metrics["train_rows"] == len(used)
    assert fitted.metrics["held_out_rows"] == len(logs.held_out)  # the fit that chose the epoch is the one reported
    chosen = fitted.metrics["best_epoch"]
    assert not refit or fitted.metrics["refit"]["history"][-1]["epoch"] == chosen
    assert finished[0].config.epochs == (chosen if refit else QUICK.epochs)


@pytest.mark.parametrize("refit", [False, True])
def test_a_model_that_reads_no_held_out_row_is_trained_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refit: bool
) -> None:
    rows: list[int] = []
    monkeypatch.setattr(world, "train_world", lambda log, *rest: rows.append(len(log)) or train_world(log, *rest))
    config = SplitConfig(refit=refit)
    log, _ = two_preferences()
    train, held_out = split(log, config)
    fitted = fit_into(
        tmp_path / "world", Logs(log, train, held_out, "", refit, log), config, WorldModelConfig(members=1)
    )
    assert rows == [len(log) if refit else len(train)]
    assert fitted.metrics["train_rows"] == rows[0]


def test_a_long_prediction_shows_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(world, "PATIENCE", 0.0)
    config = RunConfig(data="synthetic", synthetic=SMALL)
    fit_into(tmp_path / "world", open_logs(config), config.split, QUICK)
    said = capsys.readouterr().err
    assert "world model: predicting 30 x 20 rewards\nworld model, predicting: tenth " in said


def test_codes_that_are_not_the_scopes_are_refused(tmp_path: Path) -> None:
    config = RunConfig(data="synthetic", synthetic=SMALL)
    logs = open_logs(config)
    fitted = fit_into(tmp_path / "world", logs, config.split, QUICK)
    assert load_world_model(tmp_path / "world", logs, config.split).users.equal(fitted.users)
    origin = {ORIGIN: (tmp_path / "world" / ORIGIN).read_text("utf-8")}
    for changed in ({"users": fitted.users + 1}, {"items": fitted.items.flip(0)}):
        replace(fitted, **changed).save(tmp_path / "world", origin)
        with pytest.raises(RunError, match="its users and items are not those that synthetic recommends to"):
            load_world_model(tmp_path / "world", logs, config.split)


def test_what_is_handed_over_is_said() -> None:
    start, epoch = {"shown": 2.0, "learned": 2.0}, {"shown": 3.0, "learned": 3.0}
    assert kept(HandedOver({}, 0, 0, {})) == kept(HandedOver({}, 0, 0, {"start": start, "earned": start}))
    assert "nothing was trained" in kept(HandedOver({}, 0, 0, {}))
    assert "the last epoch, 4" in kept(HandedOver({}, 4, 4, {}))
    assert "earns 2 a session, and no epoch earns more" in kept(HandedOver({}, 0, 4, {"start": start, "earned": start}))
    said = kept(HandedOver({}, 3, 4, {"start": start, "earned": epoch}))
    assert "epoch 3 of 4" in said
    assert "3 a session; the start earns 2" in said
    assert "in the unit of learning" not in said
    mapped = kept(HandedOver({}, 3, 4, {"start": start, "earned": {"shown": -3.0, "learned": 3.0}}))
    assert "it earns most by the world model in the unit of learning, -3 a session" in mapped


def test_what_is_kept_for_evaluation_is_said_as_it_is_drawn() -> None:
    logs = open_logs(RunConfig(data="synthetic", synthetic=SMALL, split=SplitConfig(evaluation=0.3)))
    assert logs.reserved == "30% of each user's items"
    likely = replace(logs.whole, propensity=np.full(len(logs.whole), 0.5, dtype=np.float32))
    assert replace(logs, whole=likely).reserved == "30% of the events"


def test_known_users_get_the_posterior_given_their_log_where_there_is_one() -> None:
    options = {"session.tastes": "mean", "session.turns": 5, "split.refit": False}
    config = replace(override(usual("darlr+"), options), data="synthetic", synthetic=SMALL)
    logs = open_logs(config)
    model, user = fit_model(logs, WorldModelConfig("bayesian", members=1, embedding=2)), 3
    own = np.unique(logs.train.item[logs.train.user == user])
    for slate in (0, 5):
        found = world_of(model, logs, override(config, {"recommender.slate": slate}).train)
        belief, known, features = found.belief, found.certainty, found.preference
        assert belief is not None
        assert known is not None
        assert features is not None
        items, surprise = torch.tensor([[4, 9]]), torch.tensor([[1.0, -2.0]])
        moved = known.preference(features, 1.0, torch.tensor([user]), items, surprise) @ features.T
        told = torch.cat([torch.from_numpy(own)[None], items], 1)  # logged items bring no surprise
        posterior = belief.given(told, belief.mean[told] + torch.nn.functional.pad(surprise, (len(own), 0)))
        torch.testing.assert_close(moved, posterior.theta() @ belief.factors.T, atol=1e-4, rtol=1e-3)
    without = world_of(fit_model(logs, QUICK), logs, config.train)
    assert without.certainty is None
    assert without.preference is not None
