"""What every kind of world model keeps: registered, saved and loaded alike, and new users folded in."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch

from darlr.data.log import InteractionLog
from darlr.data.split import select
from darlr.options import WorldModelConfig
from darlr.world.fit import fit_world
from darlr.world.fitted import load
from darlr.world.fold_in import fold_in_of
from darlr.world.kinds import KINDS
from tests.world.models.test_history import two_preferences
from tests.world.models.test_implicit_model import halves
from tests.world.test_fold_in import low_rank_log

RATINGS = low_rank_log(40, 15, 8, seed=0)
SMALL = {"members": 2, "hidden": (8,), "epochs": 8, "learning_rate": 2e-2, "embedding_decay": 1.0}


def log_for(kind: str) -> InteractionLog:
    return {"history": two_preferences()[0], "implicit": halves()}.get(kind, RATINGS)


def test_the_registry_holds_what_the_option_names() -> None:
    assert set(KINDS) == set(get_args(get_type_hints(WorldModelConfig)["kind"])) - {"auto"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "given"])  # test_given.py
def test_every_kind_is_kept_and_folds_new_users_in(kind: str, tmp_path: Path) -> None:
    log = log_for(kind)
    fitted = fit_world(log, select(log, log.user < 0), WorldModelConfig(kind=kind, **SMALL))
    fitted.save(tmp_path / "world")
    again = load(tmp_path / "world")
    assert type(again.model) is type(fitted.model)
    for name, tensor in fitted.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)

    fold = fold_in_of(again.reward.whole(), float(again.risk.whole().mean()), again.reward_range)
    low, high = again.reward_range
    item = int(fitted.reward.whole().var(0).argmax())  # what users differ in most
    items = torch.tensor([[item, item], [-1, item], [-1, -1]])
    rewards = torch.tensor([[high, high], [0.0, low], [0.0, 0.0]])
    rows = fold.fold_in(items, rewards)
    assert ((rows >= low) & (rows <= high)).all()
    torch.testing.assert_close(rows[2], fitted.reward.whole().mean(0))
    assert rows[0, item] > rows[2, item] > rows[1, item]
    for row in range(3):
        torch.testing.assert_close(fold.fold_in(items[[row]], rewards[[row]])[0], rows[row])
