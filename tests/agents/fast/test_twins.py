"""Every fast function against its plain twin: alone, and in two updates of a whole learner."""

import pytest
import torch

from darlr.agents import a2c
from darlr.agents.a2c import Decisions, policy_gain
from darlr.agents.actor_critic import Actor
from darlr.agents.fast import twins
from darlr.agents.learner import learn
from darlr.agents.tracker import Layer
from darlr.simulation import policy
from tests.agents.test_devices import CASES, prepared

PLAIN = {
    "policy_gain": lambda decisions, weight, bonus, entropies: policy_gain(decisions, weight, bonus),
    "fold": lambda query_key_value, out, heads: None,
    "product": twins.plain_product,
}


@pytest.mark.parametrize("pool", [None, torch.tensor([[0, 2, 4, 6], [1, 2, 3, 8], [5, 6, 7, 8]])])
@pytest.mark.parametrize("bonus", [0.0, 0.2])
def test_the_gradient_by_hand_is_autograds(monkeypatch, pool, bonus):
    monkeypatch.setitem(a2c.CHUNK, "cpu", 10)  # several chunks
    torch.manual_seed(0)
    actor, hidden = Actor(5, 9, "float32"), torch.randn(6, 5, requires_grad=True)
    excluded = torch.tensor([[0, -1]] * 6)
    case = Decisions(actor, hidden, torch.zeros(6), torch.tensor([1, 2, 3, 1, 2, 3]), excluded, pool=pool)
    weight, parameters = torch.randn(6), (hidden, actor.weight, actor.bias)
    (fast, entropy), (plain, expected) = twins.policy_gain(case, weight, bonus, True), policy_gain(case, weight, bonus)
    torch.testing.assert_close(fast, plain)
    torch.testing.assert_close(entropy, expected)
    torch.testing.assert_close(torch.autograd.grad(fast, parameters), torch.autograd.grad(plain, parameters))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("newest", [False, True])
def test_folded_attention_is_attention(padded, newest):
    torch.manual_seed(0)
    layer, normed = Layer(6, heads=1, dropout=0.0), torch.randn(4, 3, 6)
    bias = torch.zeros(4, 3, 1).masked_fill(torch.arange(4)[:, None, None] < 2, -torch.inf) if padded else None
    asking = normed[-1:] if newest else normed
    plain = layer.attend(asking, normed, bias)
    torch.testing.assert_close(twins.fold(layer.attention, layer.out, 1).attend(asking, normed, bias), plain)


def test_a_draw_by_chunks_is_a_draw():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn((500, 150), generator=generator).softmax(-1)
    uniform = torch.rand(500, generator=generator)
    same = policy.draw_by_chunks(probabilities, uniform) == policy.draw_at_once(probabilities, uniform)
    assert same.float().mean() > 0.99  # but for rounding at an edge


@pytest.mark.parametrize("case", [0, 3, 4, 7])
def test_a_learner_of_plain_functions_learns_the_same(monkeypatch, case):
    """Metrics of two updates; the second would differ if the first had moved weights elsewhere."""
    found = []
    for functions in ({}, PLAIN):
        for name, function in functions.items():
            monkeypatch.setattr(twins, name, function)
        learner, simulator = prepared(*CASES[case])
        rows = [learn(learner, simulator, 8) for _ in range(2)]
        found.append([{name: float(value) for name, value in row.items()} for row in rows])
    fast, plain = found
    for one, other in zip(fast, plain, strict=True):
        assert one == pytest.approx(other, rel=2e-4, abs=1e-5)
