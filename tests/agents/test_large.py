"""Training with many users and items: the same numbers where all is met, and nothing lost where only a part is."""

import pytest
import torch

from darlr.agents import large
from darlr.agents.a2c import Decisions, policy_gain
from darlr.agents.actor_critic import Actor, Streams
from darlr.agents.fast import twins
from darlr.agents.large import grouped, touched


def actor(actions: int = 50, width: int = 16) -> Actor:
    torch.manual_seed(0)
    found = Actor(width, actions, "float32")
    torch.nn.init.normal_(found.weight)
    return found


@pytest.mark.parametrize("gain", ["plain", "fast"])
def test_decisions_in_groups_have_the_gradients_of_single_ones(gain: str) -> None:
    layer, n = actor(), 37
    user = torch.randint(6, (n,))
    pool = torch.stack([torch.randperm(50)[:12] for _ in range(6)])[user]
    hidden, weight, offset = torch.randn(n, 16), torch.randn(n), torch.randn(n, 12)
    action = torch.randint(12, (n,))
    excluded = ((action + 1) % 12)[:, None]
    found = []
    for in_groups in (False, True):
        layer.zero_grad()
        own = hidden.clone().requires_grad_()
        decisions = Decisions(layer, own, torch.zeros(n), action, excluded, lambda rows: offset[rows], pool)
        decisions = grouped(decisions, user, pool) if in_groups else decisions
        if gain == "plain":
            value, entropy = policy_gain(decisions, weight, 0.1)
        else:
            value, entropy = twins.policy_gain(decisions, weight, 0.1, True)
        value.backward()
        found.append((value.detach(), entropy, own.grad, layer.weight.grad, layer.bias.grad))
        layer.weight.grad = layer.bias.grad = None
    for single, group in zip(*found, strict=True):
        torch.testing.assert_close(single, group)


def step(layer: Actor, optimiser: torch.optim.Optimizer, rows: torch.Tensor) -> None:
    optimiser.zero_grad()
    (layer.weight[rows].square().sum() + layer.bias[rows].sum()).backward()
    optimiser.step()


def test_touched_actions_learn_as_in_adam_and_others_keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "MANY", 10)
    whole, reduced = actor(), actor()
    optimisers = [torch.optim.Adam(one.parameters(), lr=0.1, fused=True) for one in (whole, reduced)]
    held, others = torch.tensor([3, 7, 20]), torch.tensor([11, 30])
    for action in (held, held, others):  # the second visit needs the moments of the first
        with touched(reduced, optimisers[1], action) as place:
            assert len(reduced.weight) == len(action)
            step(reduced, optimisers[1], place(action))
            step(reduced, optimisers[1], place(action))
        assert reduced.weight.shape == whole.weight.shape
        if action is held:
            step(whole, optimisers[0], action)
            step(whole, optimisers[0], action)
    torch.testing.assert_close(reduced.weight[held], whole.weight[held])
    torch.testing.assert_close(reduced.bias[held], whole.bias[held])
    untouched = torch.tensor([0, 49])
    assert torch.equal(reduced.weight[untouched], actor().weight[untouched])
    assert optimisers[1].state[reduced.weight]["exp_avg"].shape == reduced.weight.shape
    assert not torch.equal(reduced.weight[others], actor().weight[others])


def test_an_interrupted_update_gives_the_whole_layer_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "MANY", 10)
    layer = actor()
    optimiser = torch.optim.Adam(layer.parameters(), fused=True)
    with pytest.raises(KeyboardInterrupt), touched(layer, optimiser, torch.tensor([1, 2])):
        raise KeyboardInterrupt
    assert torch.equal(layer.weight, actor().weight)


def test_few_actions_are_not_reduced() -> None:
    layer = actor()
    optimiser = torch.optim.Adam(layer.parameters(), fused=True)
    with touched(layer, optimiser, torch.tensor([1, 2])) as place:
        assert len(layer.weight) == 50
        assert torch.equal(place(torch.tensor([4])), torch.tensor([4]))


def test_streams_read_the_candidates_of_new_users() -> None:
    layer, pools = actor(), torch.stack([torch.randperm(50)[:7] for _ in range(6)])
    streams, hidden = Streams(layer), torch.randn(4, 16)
    for user in (torch.tensor([0, 1, 2, 3]), torch.tensor([0, 5, 2, 4]), torch.tensor([0, 5, 2, 4])):
        expected = layer.layer(pools[user]).logits(hidden)
        held = streams.of(user, pools[user])
        torch.testing.assert_close(held.logits(hidden), expected)
        assert torch.equal(held.pool, pools[user].flatten())
