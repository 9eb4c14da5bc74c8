"""A Bayesian model that goes on: known rows without new events stay, and the others follow the exact posterior."""

from dataclasses import replace

import numpy as np
import torch

from darlr.data.log import InteractionLog
from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.conditioned import condition

USERS, ITEMS, SIZE, DRAWS = 30, 12, 2, 40


def before(generator: np.random.Generator) -> tuple[BayesianFM, InteractionLog]:
    """A model whose draws all equal the truth, and a log of a few events of each user."""
    user, item = generator.normal(size=(USERS, 1 + SIZE)), generator.normal(size=(ITEMS, 1 + SIZE))
    tables = {}
    for name, rows in (("user", user), ("item", item)):
        table = torch.from_numpy(rows.astype(np.float32)).expand(1, DRAWS, -1, -1)
        tables |= {f"{name}_linear": table[..., 0].contiguous(), f"{name}_vector": table[..., 1:].contiguous()}
    model = BayesianFM(**tables, noise=torch.tensor([0.01]))
    users, items = np.repeat(np.arange(USERS), 3), np.tile(np.arange(3), USERS)
    ids = tuple(range(USERS)), tuple(range(ITEMS))
    log = InteractionLog("log", users, items, np.zeros(len(users), np.float32), *ids, reward_range=(-9, 9))
    return model, log


def test_a_new_user_learns_from_its_events_and_others_stay() -> None:
    generator = np.random.default_rng(0)
    model, log = before(generator)
    own = generator.normal(size=1 + SIZE)  # the truth of the new user, of code USERS
    item = torch.cat([model.item_linear[0, 0, :, None], model.item_vector[0, 0]], 1).double().numpy()
    rewards = own[0] + item[:, 0] + item[:, 1:] @ own[1:]
    longer = replace(
        log,
        user=np.concatenate([log.user, np.full(ITEMS, USERS)]),
        item=np.concatenate([log.item, np.arange(ITEMS)]),
        reward=np.zeros(len(log) + ITEMS, np.float32),
        user_ids=tuple(range(USERS + 1)),
        parts=(len(log),),
    )
    user = torch.cat([model.user_linear[0, 0, :, None], model.user_vector[0, 0]], 1).double().numpy()
    known = user[log.user, 0] + item[log.item, 0] + (user[log.user, 1:] * item[log.item, 1:]).sum(1)
    target = torch.from_numpy(np.concatenate([known, rewards]).astype(np.float32))
    grown = condition(model, longer, target, torch.ones(len(longer)), seed=0)
    assert torch.equal(grown.user_linear[:, :, :USERS], model.user_linear)  # no new events
    mean = grown(torch.full((1, ITEMS), USERS), torch.arange(ITEMS)[None])[0][0]
    np.testing.assert_allclose(mean.numpy(), rewards, atol=0.15)
