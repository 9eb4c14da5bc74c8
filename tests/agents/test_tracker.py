"""Trackers: tokens come oldest first, [w, B, d], padding at the old end."""

import pytest
import torch

from darlr.agents.tracker import build_tracker
from darlr.options import TrackerConfig

DIM = 6
TRANSFORMERS = [
    TrackerConfig(window=4, dim=DIM, layers=layers, heads=heads) for layers, heads in ((1, 1), (2, 1), (2, 3), (3, 2))
]
MEAN = TrackerConfig("mean", window=4, dim=DIM)
ALL = [MEAN, *TRANSFORMERS]


def make(config, seed=0):
    torch.manual_seed(seed)
    tracker = build_tracker(config).eval()
    for parameter in tracker.parameters():  # zero or tiny initial values would hide what is read
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return tracker


def windows():
    """Windows with 4, 3, 1 and 0 tokens."""
    tokens = torch.randn(4, 4, DIM, generator=torch.Generator().manual_seed(1))
    there = torch.arange(4)[:, None] >= 4 - torch.tensor([4, 3, 1, 0])
    return tokens, there


@pytest.mark.parametrize("config", ALL)
@torch.no_grad()
def test_padding_never_matters(config):
    tracker, (tokens, there) = make(config), windows()
    changed = torch.where(there[..., None], tokens, 100 * torch.randn(4, 4, DIM))
    torch.testing.assert_close(tracker(changed, there), tracker(tokens, there))


@pytest.mark.parametrize("config", ALL)
@torch.no_grad()
def test_every_token_that_is_there_matters(config):
    tracker, (tokens, there) = make(config), windows()
    for place in range(4):
        changed = tokens.clone()
        changed[place] += torch.randn(4, DIM)
        differs = (tracker(changed, there) - tracker(tokens, there)).abs().amax(-1) > 1e-4
        assert differs.tolist() == there[place].tolist()


@pytest.mark.parametrize("config", ALL)
@torch.no_grad()
def test_batch_equals_one_by_one(config):
    tracker, (tokens, there) = make(config), windows()
    alone = [tracker(tokens[:, b : b + 1], there[:, b : b + 1]) for b in range(4)]
    torch.testing.assert_close(tracker(tokens, there), torch.cat(alone))


@torch.no_grad()
def test_order_matters_to_a_transformer_alone():
    tokens, there = windows()
    tokens, there = tokens[:, :1], there[:, :1]
    swapped = tokens[[1, 0, 2, 3]]
    torch.testing.assert_close(make(MEAN)(swapped, there), make(MEAN)(tokens, there))
    for config in TRANSFORMERS:
        tracker = make(config)
        assert (tracker(swapped, there) - tracker(tokens, there)).abs().max() > 1e-3


@torch.no_grad()
def test_positions_count_back_from_the_newest():
    """A short history reads the same whatever the window: its positions are those next to the newest."""
    tokens, there = windows()
    for config in TRANSFORMERS:
        tracker = make(config)
        short = make(TrackerConfig(window=2, dim=DIM, layers=config.layers, heads=config.heads))
        state = tracker.state_dict() | {"position": tracker.position[-2:]}
        short.load_state_dict(state)
        torch.testing.assert_close(short(tokens[-2:, 2:], there[-2:, 2:]), tracker(tokens[:, 2:], there[:, 2:]))


@torch.no_grad()
def test_the_newest_position_is_read():
    """Without attention and feed-forward the output is the norm of the newest token at its position."""
    tokens, there = windows()
    for config in TRANSFORMERS:
        tracker = make(config)
        for layer in tracker.layers:
            for linear in (layer.out, layer.narrow):
                linear.weight.zero_()
                linear.bias.zero_()
        newest = torch.where(there[-1, :, None], tokens[-1], tracker.begin) + tracker.position[-1]
        torch.testing.assert_close(tracker(tokens, there), tracker.norm(newest))


@pytest.mark.parametrize("heads", [1, 2, 3])
@torch.no_grad()
def test_layers_by_pytorchs_own_attention(heads):
    config = TrackerConfig(window=4, dim=DIM, layers=2, heads=heads)
    tracker, (tokens, there) = make(config), windows()
    tokens, there = tokens[:, :3], there[:, :3]
    hidden = (tokens + tracker.position).transpose(0, 1)  # [B, w, d]
    for layer in tracker.layers:
        attention = torch.nn.MultiheadAttention(DIM, heads, batch_first=True)
        attention.in_proj_weight.copy_(layer.attention.weight)
        attention.in_proj_bias.copy_(layer.attention.bias)
        attention.out_proj.load_state_dict(layer.out.state_dict())
        normed = layer.norm_attention(hidden)
        mixed, _ = attention(normed, normed, normed, key_padding_mask=~there.T, need_weights=False)
        hidden = hidden + mixed
        hidden = hidden + layer.narrow(layer.widen(layer.norm_feed(hidden)).relu())
    torch.testing.assert_close(tracker(tokens, there), tracker.norm(hidden[:, -1]))


def test_mean_by_hand():
    tokens = torch.tensor([[[1.0, 2.0], [9.0, 9.0], [9.0, 9.0]], [[3.0, 6.0], [5.0, 7.0], [9.0, 9.0]]])
    there = torch.tensor([[True, False, False], [True, True, False]])
    mean = build_tracker(TrackerConfig("mean", dim=2))(tokens, there)
    assert mean.tolist() == [[2.0, 4.0], [5.0, 7.0], [0.0, 0.0]]


def test_dropout_acts_while_learning_only():
    config = TrackerConfig(window=4, dim=DIM, layers=1, dropout=0.5)
    tracker, (tokens, there) = make(config), windows()
    assert torch.equal(tracker(tokens, there), tracker(tokens, there))
    tracker.train()
    assert not torch.equal(tracker(tokens, there), tracker(tokens, there))


@pytest.mark.parametrize("config", TRANSFORMERS)
def test_gradients_are_finite_for_every_parameter(config):
    tracker, (tokens, there) = make(config), windows()
    tracker(tokens, there).square().sum().backward()
    for name, parameter in tracker.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("config", ALL)
@torch.no_grad()
def test_what_is_folded_once_serves_until_the_weights_change(config):
    tracker, (tokens, there) = make(config), windows()
    held = tracker.weights()
    assert torch.equal(tracker(tokens, there, held), tracker(tokens, there))
    for parameter in tracker.parameters():
        parameter.mul_(2)
    changed = (tracker(tokens, there, held) - tracker(tokens, there)).abs().max() > 1e-4
    assert changed == (config.heads == 1 and config.kind == "transformer")  # nothing else is folded


@pytest.mark.parametrize("config", ALL)
@torch.no_grad()
def test_windows_that_hold_some_token_need_no_look_for_empty_ones(config):
    tracker, (tokens, there) = make(config), windows()
    found = tracker(tokens, there, some=True)
    torch.testing.assert_close(found[:3], tracker(tokens, there)[:3])  # the fourth is empty


@pytest.mark.parametrize("config", ALL)
def test_tokens_may_be_made_after_the_mean(config):
    tracker, (_, there) = make(config), windows()
    token, inputs = torch.nn.Linear(5, DIM), torch.randn(4, 4, 5)
    expected, found = tracker(token(inputs), there), tracker.over(token, inputs, there)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), token.parameters()),
        torch.autograd.grad(expected.square().sum(), token.parameters()),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
