import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import linear

from darlr.agents import a2c
from darlr.agents.a2c import Decisions, a2c_loss, generalised_advantages, minibatches, update
from darlr.agents.actor_critic import Actor, forbid
from darlr.options import A2CConfig

PLAIN = A2CConfig(normalise_advantages=False, value_coefficient=0.5, entropy_coefficient=0.0)


def column(*values):
    return torch.tensor(values)[:, None]


def advantages(reward, value, done, last, gamma, gae_lambda):
    found = generalised_advantages(
        column(*reward), column(*value), column(*done), torch.tensor([last]), gamma, gae_lambda
    )
    return found.squeeze(1)


def test_advantages_by_hand():
    # deltas: 1 + .5*2 - 1 = 1; 2 + .5*4 - 2 = 2; 3 + .5*6 - 4 = 2
    # A_3 = 2; A_2 = 2 + .5*.5*2 = 2.5; A_1 = 1 + .25*2.5 = 1.625
    found = advantages([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], [False] * 3, 6.0, gamma=0.5, gae_lambda=0.5)
    torch.testing.assert_close(found, torch.tensor([1.625, 2.5, 2.0]))


def test_lambda_1_is_monte_carlo_minus_value():
    # returns: 3 + .9*10 (cut, critic bootstraps); 2; 1 + .9*2: done after the second step
    found = advantages([1.0, 2.0, 3.0], [0.5, 0.25, 7.0], [False, True, False], 10.0, gamma=0.9, gae_lambda=1.0)
    torch.testing.assert_close(found, torch.tensor([2.8 - 0.5, 2.0 - 0.25, 12.0 - 7.0]))


def test_a_done_step_sees_nothing_behind_it():
    found = advantages([1.0, 2.0], [0.5, 9.0], [True, True], 99.0, gamma=0.9, gae_lambda=0.7)
    torch.testing.assert_close(found, torch.tensor([0.5, -7.0]))


def test_lambda_0_is_the_temporal_difference():
    found = advantages([1.0, 2.0], [0.5, 3.0], [False, False], 4.0, gamma=0.5, gae_lambda=0.0)
    torch.testing.assert_close(found, torch.tensor([1.0 + 1.5 - 0.5, 2.0 + 2.0 - 3.0]))


@given(
    st.integers(1, 6), st.integers(1, 4), st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.integers(0, 10_000)
)
def test_advantages_equal_the_definition(length, streams, gamma, gae_lambda, seed):
    generator = torch.Generator().manual_seed(seed)
    reward, value = torch.randn(2, length, streams, generator=generator)
    done = torch.rand(length, streams, generator=generator) < 0.3
    last = torch.randn(streams, generator=generator)
    expected = torch.zeros(length, streams)
    for b in range(streams):
        following = [*value[1:, b].tolist(), last[b].item()]
        for t in range(length):
            total = 0.0
            for n, k in enumerate(range(t, length)):  # sum of (gamma lambda)^n delta_{t+n}, until the episode ends
                live = 0.0 if done[k, b] else 1.0
                delta = reward[k, b].item() + gamma * live * following[k] - value[k, b].item()
                total += (gamma * gae_lambda) ** n * delta
                if done[k, b]:
                    break
            expected[t, b] = total
    found = generalised_advantages(reward, value, done, last, gamma, gae_lambda)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def two_decisions():
    """Two decisions: probabilities (1/4, 3/4, forbidden) and (1/2, 1/2, forbidden)."""
    logits = torch.tensor([[0.0, math.log(3.0), 7.0], [1.0, 1.0, 0.0]], requires_grad=True)
    return decided(logits, torch.tensor([0, 1]), torch.tensor([2.0, 0.0]), torch.tensor([[2, -1], [2, -1]]))


def decided(logits, action, value, excluded=None):
    """Networks whose last layer returns its input, the logits [N, A]."""
    size, width = logits.shape
    actor = Actor(width, width, "float32")
    actor.weight.data, actor.bias.data = torch.eye(width), torch.zeros(width)
    return Decisions(actor, logits, value, action, torch.full((size, 1), -1) if excluded is None else excluded)


ROUNDED = {"rtol": 0.02, "atol": 0.02}  # bfloat16 keeps 8 bits
ENTROPY = torch.tensor([-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)), math.log(2.0)])


def test_loss_by_hand():
    advantage, target = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 3.0])
    policy = -(2 * math.log(0.25) - math.log(0.5)) / 2
    value = (1.0 + 9.0) / 2
    loss, entropy = a2c_loss(two_decisions(), advantage, target, PLAIN)
    assert loss.item() == pytest.approx(policy + 0.5 * value)
    torch.testing.assert_close(entropy, ENTROPY)
    config = A2CConfig(normalise_advantages=False, value_coefficient=2.0, entropy_coefficient=0.3)
    expected = policy + 2 * value - 0.3 * ENTROPY.mean().item()
    assert a2c_loss(two_decisions(), advantage, target, config)[0].item() == pytest.approx(expected)


def test_normalised_advantages_by_hand():
    # (2, -1) has mean 0.5 and standard deviation 1.5 * sqrt(2)
    config = A2CConfig(normalise_advantages=True, value_coefficient=0.0)
    expected = -(math.log(0.25) - math.log(0.5)) / math.sqrt(2) / 2
    loss, _ = a2c_loss(two_decisions(), torch.tensor([2.0, -1.0]), torch.zeros(2), config)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    alone = decided(torch.zeros(1, 2), torch.tensor([0]), torch.zeros(1))  # one row: nothing to scale by
    assert a2c_loss(alone, torch.tensor([2.0]), torch.zeros(1), config)[0].item() == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("entropy_coefficient", [0.0, 0.1])
def test_gradients_by_hand_and_finite_under_masks(entropy_coefficient):
    config = A2CConfig(normalise_advantages=False, value_coefficient=0.0, entropy_coefficient=entropy_coefficient)
    case = two_decisions()
    a2c_loss(case, torch.tensor([2.0, -1.0]), torch.zeros(2), config)[0].backward()
    gradient = case.hidden.grad
    assert torch.isfinite(gradient).all()
    assert gradient[:, 2].tolist() == [0.0, 0.0]
    # policy part: A (pi - onehot) / N; entropy part: c pi (log pi + H) / N
    pi = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    chosen = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = torch.tensor([[2.0], [-1.0]]) * (pi - chosen) / 2
    expected = expected + entropy_coefficient * pi * (pi.log() + ENTROPY[:, None]) / 2
    torch.testing.assert_close(gradient[:, :2], expected)


@pytest.mark.parametrize("block", [1, 40, 1 << 19])
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("bonus", [0.0, 0.2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_equals_autograd_on_all_logits(monkeypatch, block, offset, bonus, precision):
    monkeypatch.setitem(a2c.CHUNK, "cpu", block)
    torch.manual_seed(0)
    size, width, actions = 11, 4, 9
    hidden, actor = torch.randn(size, width, requires_grad=True), Actor(width, actions, precision)
    value = torch.randn(size, requires_grad=True)
    excluded, added = torch.randint(-1, actions - 1, (size, 3)), torch.randn(size, actions)
    action, advantage, target = torch.full((size,), actions - 1), torch.randn(size), torch.randn(size)
    parameters = (hidden, actor.weight, actor.bias, value)
    case = Decisions(actor, hidden, value, action, excluded, (lambda rows: added[rows]) if offset else None)
    loss, entropy = a2c_loss(case, advantage, target, A2CConfig(entropy_coefficient=bonus))
    found = torch.autograd.grad(3 * loss, parameters)

    log_pi = forbid(linear(hidden, actor.weight, actor.bias) + added * offset, excluded).log_softmax(-1)
    scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    expected_entropy = -(log_pi.exp() * log_pi).sum(-1)
    expected = 0.5 * (value - target).square().mean() - (log_pi[:, -1] * scaled).mean()
    expected = expected - bonus * expected_entropy.mean()
    close = ROUNDED if precision == "bfloat16" else {}
    torch.testing.assert_close(loss, expected, **close)
    torch.testing.assert_close(entropy, expected_entropy.detach(), **close)
    torch.testing.assert_close(found, torch.autograd.grad(3 * expected, parameters), **close)
    assert (precision == "bfloat16") == (not torch.equal(actor(hidden), linear(hidden, actor.weight, actor.bias)))


@pytest.mark.parametrize("block", [1, 60, 1 << 19])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("bonus", [0.0, 0.2])
def test_the_loss_over_candidates_equals_autograd_on_their_logits(monkeypatch, block, rows, bonus):
    monkeypatch.setitem(a2c.CHUNK, "cpu", block)
    torch.manual_seed(0)
    groups, width, actions, candidates = 5, 4, 9, 6
    size = groups * rows
    hidden, actor = torch.randn(size, width, requires_grad=True), Actor(width, actions, "float32")
    value = torch.randn(size, requires_grad=True)
    pool = torch.stack([torch.randperm(actions)[:candidates] for _ in range(groups)])
    excluded, action = torch.randint(-1, candidates - 1, (size, 2)), torch.full((size,), candidates - 1)
    advantage, target = torch.randn(size), torch.randn(size)
    parameters = (hidden, actor.weight, actor.bias, value)
    config = A2CConfig(entropy_coefficient=bonus, normalise_advantages=False)
    loss, entropy = a2c_loss(Decisions(actor, hidden, value, action, excluded, pool=pool), advantage, target, config)
    found = torch.autograd.grad(3 * loss, parameters)

    logits = linear(hidden, actor.weight, actor.bias).gather(1, pool.repeat_interleave(rows, 0))
    log_pi = forbid(logits, excluded).log_softmax(-1)
    expected_entropy = -(log_pi.exp() * log_pi).sum(-1)
    expected = 0.5 * (value - target).square().mean() - (log_pi[:, -1] * advantage).mean()
    expected = expected - bonus * expected_entropy.mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(entropy, expected_entropy.detach())
    torch.testing.assert_close(found, torch.autograd.grad(3 * expected, parameters))


def test_advantages_carry_no_gradient_to_the_critic():
    value = torch.tensor([2.0, 0.0], requires_grad=True)
    case = two_decisions()
    advantage = torch.tensor([2.0, -1.0])
    a2c_loss(replace(case, value=value), advantage, torch.tensor([1.0, 3.0]), PLAIN)[0].backward()
    torch.testing.assert_close(value.grad, torch.tensor([0.5 * 2 * 1.0 / 2, 0.5 * 2 * -3.0 / 2]))


@pytest.mark.parametrize(("size", "batch", "count"), [(10, 3, 3), (10, 4, 2), (3, 100, 1), (1, 1, 1), (11, 5, 2)])
def test_minibatches_cover_every_row_once(size, batch, count):
    chunks = list(minibatches(size, batch, torch.Generator().manual_seed(0), torch.device("cpu")))
    assert len(chunks) == count
    assert sorted(torch.cat(chunks).tolist()) == list(range(size))
    assert max(map(len, chunks)) - min(map(len, chunks)) <= 1


def test_groups_stay_together():
    chunks = list(minibatches(21, 9, torch.Generator().manual_seed(0), torch.device("cpu"), group=3))
    assert [len(chunk) for chunk in chunks] == [12, 9]
    groups = torch.cat(chunks).view(-1, 3)
    assert torch.equal(groups - groups[:, :1], torch.arange(3).expand(7, 3))
    assert sorted(groups[:, 0].tolist()) == [0, 3, 6, 9, 12, 15, 18]
    assert groups[:, 0].tolist() != sorted(groups[:, 0].tolist())


class Table(nn.Module):
    """Logits and values straight from parameters: the update can be followed by hand."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(4, 2))
        self.value = nn.Parameter(torch.zeros(4))

    def decisions(self, rows):
        return decided(self.logits[rows], torch.tensor([0, 1, 0, 1])[rows], self.value[rows])


def test_update_follows_the_gradient_in_minibatches():
    table = Table()
    optimiser = torch.optim.SGD(table.parameters(), lr=1.0)
    config = A2CConfig(normalise_advantages=False, value_coefficient=0.5, minibatch=2, max_grad_norm=1e9)
    advantage, target = torch.tensor([1.0, 2.0, -1.0, 0.0]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    generator = torch.Generator().manual_seed(0)
    metrics = update(table, optimiser, table.decisions, advantage, target, config, generator)
    # every row in one of two minibatches of two: value += target / 2; logits += A (onehot - pi) / 2
    torch.testing.assert_close(table.value.detach(), target / 2)
    torch.testing.assert_close(table.logits.detach()[:, 0], torch.tensor([0.25, -0.5, -0.25, 0.0]))
    assert metrics["entropy"].item() == pytest.approx(math.log(2))
    assert not table.training


def test_update_clips_the_gradient_and_reports_it_before():
    table = Table()
    optimiser = torch.optim.SGD(table.parameters(), lr=1.0)
    config = A2CConfig(normalise_advantages=False, value_coefficient=0.5, minibatch=9, max_grad_norm=0.1)
    target = torch.tensor([3.0, 0.0, 0.0, 4.0])
    generator = torch.Generator().manual_seed(0)
    metrics = update(table, optimiser, table.decisions, torch.zeros(4), target, config, generator)
    assert metrics["grad_norm"].item() == pytest.approx(5 / 4)  # (3, 4) / 4
    assert metrics["value_error"].item() == pytest.approx(25 / 4)
    torch.testing.assert_close(table.value.detach(), 0.1 * torch.tensor([0.6, 0.0, 0.0, 0.8]), rtol=1e-4, atol=1e-6)


def test_the_value_error_is_that_of_the_difference_and_constant_targets_are_no_division_by_nothing():
    table = Table()
    with torch.no_grad():
        table.value += 2.0
    optimiser = torch.optim.SGD(table.parameters(), lr=0.0)
    config = A2CConfig(normalise_advantages=False, minibatch=9)
    generator = torch.Generator().manual_seed(0)
    target = torch.full((4,), 3.0)  # the critic says 2: an advantage of 1 everywhere
    metrics = update(table, optimiser, table.decisions, target - 2.0, target, config, generator)
    assert metrics["value_error"].item() == pytest.approx(1.0)  # not (3 + 2)^2
    assert metrics["explained_variance"].item() == 1.0
    apart = torch.tensor([1.0, 3.0, 1.0, 3.0])  # a critic that varies where the targets do not
    metrics = update(table, optimiser, table.decisions, apart, target, config, generator)
    assert metrics["explained_variance"].isfinite()
    assert metrics["explained_variance"].item() < -1
