"""The batched session against a slow, obvious one in plain Python."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from darlr.data.item_features import category_bits
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import whole
from darlr.simulation.environment import Environment, turn
from darlr.simulation.exits import CategoryExit, DistanceExit, never
from darlr.simulation.session import last_items, last_rewards

FAST = settings(max_examples=60, deadline=None, derandomize=True)


class SlowSession:
    """One user, lists and sets."""

    def __init__(self, user, turns):
        self.user, self.turns = user, turns
        self.items, self.rewards, self.done = [], [], False

    def step(self, item, reward, leaves):
        if self.done:
            return
        self.items.append(item)
        self.rewards.append(reward)
        self.done = leaves or len(self.items) == self.turns

    def last(self, values, window, fill):
        return ([fill] * window + values)[-window:]


def leaves_by_category(categories, recent, item, threshold):
    return any(
        sum(category in categories[other] for other in recent if other >= 0) > threshold
        for category in categories[item]
    )


def leaves_by_distance(vectors, recent, item, threshold):
    gaps = [(vectors[item] - vectors[other]).square().sum().sqrt() for other in recent if other >= 0]
    return any(gap < threshold for gap in gaps)


def slow_play(world, user, mode, exit_aware):
    """The session of one user with a greedy policy, as docs/method.md words it."""
    turns, exits = (10, False) if mode == "NX_10" else (world.turns, True)
    session = SlowSession(user, turns)
    while not session.done:
        recent = session.items[-world.window :]

        def leaves(item, recent=recent):
            return exits and world.leaves(recent, item)

        allowed = [i for i in world.offered if mode == "FB" or i not in session.items]
        if exit_aware:
            allowed = [i for i in allowed if not leaves(i)] or allowed
        if not allowed:
            break
        item = max(allowed, key=lambda i: (world.scores(session)[i], -i))
        session.step(item, world.reward[user][item], leaves(item))
    return session


class Fickle:
    """A policy whose scores depend on the user and on all of the history that a session shows."""

    def __init__(self, table):
        self.table = table

    def scores(self, session):
        seen = session.items.clamp(min=0).sum(1) * 7 + session.turn * 3 + session.rewards.sum(1).long()
        shift = (session.user + seen)[:, None] + torch.arange(self.table.shape[1])
        return self.table[session.user].gather(1, shift % self.table.shape[1])


@st.composite
def worlds(draw):
    n_users, n_items = draw(st.integers(1, 4)), draw(st.integers(1, 14))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    window, threshold = draw(st.integers(1, 5)), draw(st.integers(0, 2))
    n_categories = draw(st.sampled_from([1, 3, 6, 64, 130]))
    codes = torch.randint(-1, n_categories, (n_items, draw(st.integers(1, 3))), generator=generator)
    vectors = torch.randint(0, 3, (n_items, 2), generator=generator).float()
    categories = [{c for c in row if c >= 0} for row in codes.tolist()]
    kind = draw(st.sampled_from(["category", "distance", "never"]))
    leaves, rule = {
        "category": (
            lambda recent, item: leaves_by_category(categories, recent, item, threshold),
            CategoryExit(category_bits(codes, n_categories), window, threshold),
        ),
        "distance": (
            lambda recent, item: leaves_by_distance(vectors, recent, item, threshold),
            DistanceExit(vectors, window, threshold),
        ),
        "never": (lambda recent, item: False, never),
    }[kind]
    offered = sorted(draw(st.sets(st.integers(0, n_items - 1), min_size=1)))
    reward = torch.randint(0, 6, (n_users, n_items), generator=generator).float()
    table = torch.randint(0, 4, (n_users, n_items), generator=generator).float()  # few values: ties
    policy = Fickle(table)

    def scores(session):
        batch = SimpleNamespace(
            user=torch.tensor([session.user]),
            items=torch.tensor([session.items], dtype=torch.int64).reshape(1, -1),
            rewards=torch.tensor([session.rewards]).reshape(1, -1),
            turn=torch.tensor([len(session.items)]),
        )
        return policy.scores(batch)[0].tolist()

    truth = SimpleNamespace(
        users=torch.arange(n_users), items=torch.tensor(offered), reward=reward[:, offered].contiguous(), fatigue=None
    )
    return SimpleNamespace(
        n_users=n_users,
        n_items=n_items,
        window=window,
        turns=draw(st.integers(1, 20)),
        leaves=leaves,
        rule=rule,
        offered=offered,
        reward=reward.tolist(),
        scores=scores,
        policy=policy,
        truth=truth,
    )


@FAST
@given(worlds(), st.sampled_from(["FB", "NX_0", "NX_10"]), st.booleans())
def test_play_equals_the_slow_session(world, mode, exit_aware):
    fast = play(
        world.policy,
        world.truth,
        world.n_items,
        world.rule,
        mode=mode,
        turns=world.turns,
        exit_aware=exit_aware,
    )
    for user in range(world.n_users):
        slow = slow_play(world, user, mode, exit_aware and mode != "NX_10")
        length = len(slow.items)
        assert fast.length[user] == length
        assert fast.items[user, :length].tolist() == slow.items
        assert fast.rewards[user, :length].tolist() == slow.rewards
        assert (fast.items[user, length:] == -1).all()
        assert (fast.rewards[user, length:] == 0).all()


class Script:
    """A player with given items and given feedback."""

    def move(self, session, chance):
        return SimpleNamespace(action=chance[0], feedback=chance[1])


@FAST
@given(worlds(), st.data())
def test_every_step_equals_the_slow_session(world, data):
    """Streams that go on with new users, and sessions that stay over."""
    size, goes_on, repeats = data.draw(st.integers(1, 5)), data.draw(st.booleans()), data.draw(st.booleans())
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    users = torch.randint(world.n_users, (size,), generator=generator)
    environment = Environment(world.rule, world.turns, world.n_items, repeats, len(world.offered))
    fast, slow = environment.start(users), [SlowSession(user, world.turns) for user in users.tolist()]
    for _ in range(12 if not environment.together else world.turns):
        action = torch.randint(world.n_items, (size,), generator=generator)
        reward = torch.randint(0, 6, (size,), generator=generator).float()
        fresh = torch.randint(world.n_users, (size,), generator=generator) if goes_on else None
        recent = last_items(fast, world.window)
        for row, session in enumerate(slow):
            shown = session.last(session.items, world.window, -1)
            assert recent[row].tolist() == shown
            ends = not repeats and len(session.items) + 1 == len(world.offered)
            session.step(int(action[row]), float(reward[row]), ends or world.leaves(shown, int(action[row])))
        fast, played = turn(environment, Script(), fast, (action, reward), fresh)
        for row, session in enumerate(slow):
            assert not goes_on or bool(played.done[row]) == session.done
        if goes_on and not environment.together:
            assert played.turn.tolist() == [len(session.items) for session in slow]
            slow = [SlowSession(int(u), world.turns) if s.done else s for u, s in zip(fresh, slow, strict=True)]
        check(fast, slow, world)


def check(fast, slow, world):
    for row, session in enumerate(slow):
        count = len(session.items)
        assert fast.user[row] == session.user
        assert fast.turn[row] == count
        assert bool(fast.done[row]) == session.done
        assert fast.items[row].tolist() == [-1] * (world.turns - count) + session.items
        assert fast.rewards[row].tolist() == [0.0] * (world.turns - count) + session.rewards
        assert fast.seen[row].nonzero()[:, 0].tolist() == sorted(set(session.items))
        for window in (1, 3, 25):
            assert last_rewards(fast, window)[row].tolist() == session.last(session.rewards, window, 0.0)


SAME = Environment(CategoryExit(torch.ones(3, 1, dtype=torch.int64)), turns=5, n_items=3, repeats=True, offered=3)


def test_the_item_that_ends_a_session_still_earns():
    session, shown = SAME.start(torch.tensor([0])), []
    for item, reward in ((2, 4.0), (0, 3.0), (1, 9.0)):
        session, played = turn(SAME, Script(), session, (torch.tensor([item]), torch.tensor([reward])), None)
        shown.append(played.done.tolist())
    assert shown[:2] == [[False], [True]]  # every item shares a category with the one before
    assert session.rewards[0].tolist() == [0, 0, 0, 4.0, 3.0]
    assert session.items[0].tolist() == [-1, -1, -1, 2, 0]
    assert session.turn.tolist() == [2]


def test_state_in_state_out():
    before = SAME.start(torch.tensor([0, 1]))
    SAME.step(before, torch.tensor([1, 2]), torch.ones(2))
    assert not before.seen.any()
    assert (before.items == -1).all()
    assert (before.turn == 0).all()


@pytest.mark.parametrize("n_items", [1, 2, 300, 10_000])
def test_more_turns_than_items_end_cleanly(n_items):
    truth = whole(torch.ones(3, n_items))
    policy = Fickle(torch.rand((3, n_items), generator=torch.Generator().manual_seed(0)))
    turns = min(n_items, 20) + 3
    for greedy in (True, False):
        draws = [torch.Generator().manual_seed(1)]
        played = play(policy, truth, n_items, never, mode="NX_0", turns=turns, greedy=greedy, generators=draws)
        assert played.length.tolist() == [min(n_items, turns)] * 3
        for row, length in zip(played.items.tolist(), played.length.tolist(), strict=True):
            assert len(set(row[:length])) == length
    assert play(policy, truth, n_items, never, mode="NX_10").length.tolist() == [min(n_items, 10)] * 3
    assert play(policy, truth, n_items, never, mode="FB", turns=turns).length.tolist() == [turns] * 3
