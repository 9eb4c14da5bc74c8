import pytest
import torch
from torch import nn

from darlr.agents.selector import Selection, pick_draws, select, selection_rows, selector_reward
from darlr.errors import ConfigError
from darlr.options import SelectorConfig
from tests.agents.tiny import build, make_world, options

ESTIMATES = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 1.0]])
SIMILARITY, DIVERSITY = (
    torch.tensor([[0.5, 0.0, 2.0], [-1.0, 1.0, 0.0]]),
    torch.tensor([[0.0, 0.5, 1.0], [0.0, 2.0, 0.0]]),
)


def play(config, world=None, batch=40, seed=0):
    """References and selection for `batch` recommendations with random states, and the learner behind them."""
    world = make_world(n_users=8) if world is None else world
    learner, _ = build(world, config)
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(batch, learner.recommender.state_dim, generator=generator)
    user, item = torch.arange(batch) % world.n_users, torch.arange(batch) % world.n_items
    uniform = pick_draws(learner.selector, batch, generator, user.device)
    references, selection = select(learner.selector, world, learner.tables.start, state, user, item, uniform)
    return learner, references, selection, user, item


@pytest.mark.parametrize(
    ("reward", "r"),
    [
        ("set_mean", [[1.0, 1.5, 3.0], [4.0, 4.0, 3.0]]),
        ("own", [[1.0, 2.0, 6.0], [4.0, 4.0, 1.0]]),
        ("none", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    ],
)
def test_reward_by_hand(reward, r):
    config = SelectorConfig(reward=reward, lambda_s=2.0, lambda_d=0.1)
    found = selector_reward(config, ESTIMATES, SIMILARITY, DIVERSITY)
    gain = torch.tensor([[1.0, 0.05, 4.0 + 0.1], [-2.0, 2.0 + 0.2, 0.0]])
    torch.testing.assert_close(found, torch.tensor(r) + gain)


@pytest.mark.parametrize("reward", ["set_mean", "own", "none"])
@pytest.mark.parametrize("start", ["frozen", "neighbours"])
def test_rewards_and_gains_of_every_pick_follow_eq_12(reward, start):
    world = make_world(n_users=8)
    config = options("darlr", selector__reward=reward, reward__start=start, selector__lambda_d=0.7, selector__picks=4)
    _, references, selection, user, item = play(config, world)
    table = (world.neighbour_reward(config.tables) if start == "neighbours" else world.reward).whole()
    unit = world.unit
    for b in range(len(user)):
        picks = references.users[b].tolist()
        similarities, diversities, estimates = [], [], []
        for k, v in enumerate(picks):
            similarities.append((unit[user[b]] @ unit[v]).item())
            far = [1 - (unit[earlier] @ unit[v]).item() for earlier in picks[:k]]
            diversities.append(sum(far) / len(far) if far else 0.0)
            estimates.append(table[v, item[b]].item())
            r = {"set_mean": sum(estimates) / len(estimates), "own": estimates[-1], "none": 0.0}[reward]
            expected = r + config.selector.lambda_s * similarities[-1] + 0.7 * diversities[-1]
            assert selection.reward[b, k].item() == pytest.approx(expected, abs=1e-4)
        assert references.similarity[b].item() == pytest.approx(sum(similarities) / 4, abs=1e-5)
        assert references.diversity[b].item() == pytest.approx(sum(diversities) / 4, abs=1e-5)


def test_never_the_user_itself_and_never_twice():
    _, references, selection, user, _ = play(options("darlr", selector__picks=5), batch=200)
    assert references.users.shape == (200, 5)
    assert torch.equal(selection.chosen[:, 0], user)
    assert torch.equal(selection.chosen[:, 1:], references.users)
    assert all(len(set(row)) == 6 for row in selection.chosen.tolist())


def test_all_other_users_can_be_picked_but_not_more():
    _, references, _, user, _ = play(options("darlr", selector__picks=7))
    expected = [sorted(set(range(8)) - {u}) for u in user.tolist()]
    assert references.users.sort(dim=1).values.tolist() == expected
    for picks in (8, 9):
        with pytest.raises(ConfigError, match=f"selector.picks: {picks} .* only 7 others"):
            play(options("darlr", selector__picks=picks))


def test_picks_follow_the_policy():
    """With one pick the frequencies are the policy's probabilities."""
    world = make_world(n_users=4)
    learner, _ = build(world, options("darlr", selector__picks=1))
    n = 20_000
    state = torch.randn(1, learner.recommender.state_dim, generator=torch.Generator().manual_seed(3)).expand(n, -1)
    user = torch.full((n,), 2)
    generator = torch.Generator().manual_seed(0)
    uniform = pick_draws(learner.selector, n, generator, user.device)
    references, selection = select(learner.selector, world, world.reward, state, user, user, uniform)
    with torch.no_grad():
        selector = learner.selector
        recent = torch.tensor([[-1, -1, 2]])
        logits, value = selector(selector.from_state(state[:1]), recent, selector.tokens())
    logits[0, 2] = -torch.inf
    share = references.users.flatten().bincount(minlength=4) / n
    assert (share - logits.softmax(-1)[0]).abs().max() < 0.015
    torch.testing.assert_close(selection.value[:1, 0], value)


def test_same_generator_same_picks():
    first, second = (play(options("darlr"), seed=4)[2] for _ in range(2))
    assert torch.equal(first.chosen, second.chosen)
    assert not torch.equal(first.chosen, play(options("darlr"), seed=5)[2].chosen)


def test_selection_rows_by_hand():
    chosen = torch.tensor([[9, 4, 2, 7], [8, 1, 3, 5], [6, 0, 1, 2]])
    recent, before, action = selection_rows(chosen, chosen, torch.tensor([0, 1, 2]), window=2)
    assert recent.tolist() == [[-1, 9], [8, 1], [0, 1]]
    assert before.tolist() == [[9, -1, -1, -1], [8, 1, -1, -1], [6, 0, 1, -1]]
    assert action.tolist() == [4, 3, 2]
    wide, _, _ = selection_rows(chosen, chosen, torch.tensor([0, 1, 2]), window=5)
    assert wide.tolist() == [[-1, -1, -1, -1, 9], [-1, -1, -1, 8, 1], [-1, -1, 6, 0, 1]]


@pytest.mark.parametrize("kind", ["transformer", "mean"])
def test_tokens_are_a_linear_layer_on_state_and_projected_feedback(kind):
    learner, _, selection, _, _ = play(options("darlr", selector_tracker__kind=kind))
    selector = learner.selector
    joined = nn.Linear(learner.recommender.state_dim + 4, 8)
    joined.weight.data = torch.cat([selector.from_state.weight, selector.from_user.weight], dim=1).data
    joined.bias.data = selector.from_state.bias.data
    recent, _, _ = selection_rows(selection.chosen, selection.taken, torch.arange(40) % 3, window=3)
    feedback = selector.projection(selector.users)[recent.T.clamp(min=0)]
    state = selection.state.expand(3, -1, -1)
    tokens = joined(torch.cat([state, feedback], dim=-1))
    expected = selector.heads(selector.tracker(tokens, recent.T >= 0))
    found = selector(selector.from_state(selection.state), recent, selector.tokens())
    torch.testing.assert_close(found, expected)


def test_tokens_of_few_users_are_those_of_all():
    selector = play(options("darlr"))[0].selector
    chosen = torch.tensor([[-1, 5, 2], [5, 5, -1]])
    tokens, place = selector.tokens_among(chosen)
    assert len(tokens) == 3  # 0 stands in for nobody
    assert torch.equal(place < 0, chosen < 0)
    known = chosen >= 0
    torch.testing.assert_close(tokens[place[known]], selector.user_tokens()[chosen[known]])
    everyone, same = selector.tokens_among(chosen.repeat(2, 1))
    assert len(everyone) == 8
    assert torch.equal(same, chosen.repeat(2, 1))


def test_the_state_depends_on_earlier_picks_and_on_s_rec():
    learner, _, selection, _, _ = play(options("darlr"))
    selector = learner.selector
    token, tokens = selector.from_state(selection.state), selector.tokens()
    recent, _, _ = selection_rows(selection.chosen, selection.taken, torch.full((40,), 2), window=3)
    logits, _ = selector(token, recent, tokens)
    assert (selector(token, recent.roll(1, 0), tokens)[0] - logits).abs().max() > 1e-3
    assert (selector(token.roll(1, 0), recent, tokens)[0] - logits).abs().max() > 1e-3


def test_selection_holds_no_graph():
    _, references, selection, _, _ = play(options("darlr"))
    assert isinstance(selection, Selection)
    for tensor in (selection.state, selection.reward, selection.value, references.similarity):
        assert not tensor.requires_grad
