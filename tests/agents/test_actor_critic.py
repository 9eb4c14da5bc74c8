import torch

from darlr.agents.actor_critic import ActorCritic, excluded_actions, masked_logits


def test_excluded_actions_by_hand():
    mask = excluded_actions(torch.tensor([[2, -1, 0], [-1, -1, -1], [3, 3, 1]]), 4)
    assert mask.int().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]]
    assert excluded_actions(torch.empty(2, 0, dtype=torch.int64), 3).tolist() == [[False] * 3] * 2


def test_masked_logits_are_never_drawn():
    logits = masked_logits(torch.tensor([[1.0, 5.0, 1.0]]), torch.tensor([[False, True, False]]))
    torch.testing.assert_close(logits.softmax(-1), torch.tensor([[0.5, 0.0, 0.5]]))


def test_actor_and_critic_share_the_trunk():
    torch.manual_seed(0)
    networks = ActorCritic(4, (16, 8), 5)
    logits, value = networks(torch.randn(7, 4))
    assert (logits.shape, value.shape) == ((7, 5), (7,))
    assert sum(p.numel() for p in networks.parameters()) == (4 * 16 + 16) + (16 * 8 + 8) + (8 * 5 + 5) + (8 + 1)
    assert (logits.softmax(-1) - 0.2).abs().max() < 0.02  # the first policy is near uniform
    alone, _ = ActorCritic(4, (), 5)(torch.randn(7, 4))  # no trunk at all
    assert alone.shape == (7, 5)
