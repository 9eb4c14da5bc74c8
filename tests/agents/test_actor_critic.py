import torch

from darlr.agents.actor_critic import ActorCritic, forbid


def test_forbidden_actions_have_no_probability():
    logits = torch.tensor([[1.0, 5.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0], [4.0, 0.0, 0.0, 9.0]])
    found = forbid(logits.clone(), torch.tensor([[1, -1, 3], [-1, -1, -1], [3, 3, 0]]))
    assert found is not None
    torch.testing.assert_close(found[0].softmax(-1), torch.tensor([0.5, 0.0, 0.5, 0.0]))
    assert torch.equal(found[1], logits[1])  # padding forbids nothing, action 0 neither
    torch.testing.assert_close(found[2].softmax(-1), torch.tensor([0.0, 0.5, 0.5, 0.0]))
    assert torch.equal(forbid(logits.clone(), torch.empty(3, 0, dtype=torch.int64)), logits)
    full = torch.tensor([[1, 3], [0, 2], [3, 0]])
    assert torch.equal(forbid(logits.clone(), full, padded=False).softmax(-1), forbid(logits, full).softmax(-1))


def test_actor_and_critic_share_the_trunk():
    torch.manual_seed(0)
    networks = ActorCritic(4, (16, 8), 5)
    logits, value = networks(torch.randn(7, 4))
    assert (logits.shape, value.shape) == ((7, 5), (7,))
    assert sum(p.numel() for p in networks.parameters()) == (4 * 16 + 16) + (16 * 8 + 8) + (8 * 5 + 5) + (8 + 1)
    assert (logits.softmax(-1) - 0.2).abs().max() < 0.02  # the first policy is near uniform
    alone, _ = ActorCritic(4, (), 5)(torch.randn(7, 4))  # no trunk at all
    assert alone.shape == (7, 5)


@torch.no_grad()
def test_the_trunk_is_linear_layers_with_a_relu_behind_each():
    torch.manual_seed(0)
    trunk, state = ActorCritic(4, (16, 8), 5).trunk, torch.randn(7, 4)
    first, second = trunk
    kept = state.clone()
    torch.testing.assert_close(trunk(state), torch.relu(second(torch.relu(first(state)))))
    assert torch.equal(state, kept)
