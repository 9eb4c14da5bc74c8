"""New users of a world model that estimates them in closed form: the policy folder gives its rows."""

import json
from pathlib import Path

import pytest
import torch

import darlr
from darlr.errors import RunError
from darlr.experiments.finished import FinishedRun
from darlr.io.tensors import read_tensors, write_both
from darlr.serving.folder import METADATA, WEIGHTS, read_policy
from darlr.serving.policy import TrainedPolicy
from tests.world.models.test_implicit_model import halves


@pytest.fixture(scope="module")
def run() -> FinishedRun:
    options = {"model": {"members": 2}, "session": {"turns": 5}}
    return darlr.Recommender("darlr+", **options).fit(halves(), epochs=0, progress=False).run


@pytest.fixture(scope="module")
def policy(run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> TrainedPolicy:
    folder = tmp_path_factory.mktemp("policy")
    run.export(folder)
    return read_policy(folder)


def test_the_history_of_a_user_gives_the_row_of_the_user(run: FinishedRun, policy: TrainedPolicy):
    own, (low, high) = run.logs.known.item[run.logs.known.user == 3], run.world.reward_range
    items, rewards = torch.from_numpy(own)[None], torch.full((1, len(own)), high)
    theta, rows = policy.newcomers.estimates(items, rewards)
    wanted = run.world.reward.rows(torch.tensor([3]))
    torch.testing.assert_close(rows, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(policy.newcomers.fold_in.known(wanted), theta, atol=1e-3, rtol=1e-3)
    assert policy.newcomers.starts_from_it
    more = torch.cat([items, torch.tensor([[0]])], 1), torch.cat([rewards, torch.tensor([[low]])], 1)
    torch.testing.assert_close(policy.newcomers.estimates(*more)[1], rows)  # what was shown in vain is no positive
    none = policy.newcomers.estimates(torch.tensor([[-1]]), torch.zeros(1, 1))[1]
    torch.testing.assert_close(none, run.world.reward.rows(torch.tensor([59])), atol=1e-4, rtol=1e-4)


def test_a_new_user_gets_items_of_the_half_of_the_history(policy: TrainedPolicy):
    for half in (0, 1):
        found = policy.recommend(darlr.NEW, n=3, history=[(item, 1.0) for item in range(half, 12, 2)])
        assert {item % 2 for item in found["item"]} == {half}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ease_column", lambda t: t + 20, "not codes of 20 items"),
        ("ease_start", lambda t: t.flip(0), "do not begin and end"),
        ("users", lambda t: t[:, :, 1:].contiguous(), "users is of shape"),
        ("slope", lambda t: t.expand(2).contiguous(), "slope is of shape"),
    ],
)
def test_damaged_closed_forms(run: FinishedRun, tmp_path: Path, name, change, message: str):
    run.export(tmp_path)
    facts, (tensors, _) = json.loads((tmp_path / METADATA).read_text("utf-8")), read_tensors(tmp_path / WEIGHTS, "")
    tensors[f"closed_form.{name}"] = change(tensors[f"closed_form.{name}"])
    write_both(tmp_path / WEIGHTS, tmp_path / METADATA, tensors, facts)
    with pytest.raises(RunError, match=message):
        read_policy(tmp_path)
