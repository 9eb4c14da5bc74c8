"""Many users, users in no log, and rules of what may be shown, on every kind of policy."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darlr.data.split import select
from darlr.errors import ConfigError, DarlrWarning
from darlr.serving import served as policies_of
from darlr.serving.ids import NEW
from darlr.serving.policy import TrainedPolicy
from tests.serving.tiny import ITEMS, LOG, POLICIES, USERS

every_policy = pytest.mark.parametrize("name", POLICIES)


@every_policy
@pytest.mark.parametrize("cells", [policies_of.CELLS, 64])
def test_batch_equals_one_by_one(
    name: str, cells: int, policies: dict[str, TrainedPolicy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies_of, "CELLS", cells)  # 64: chunks of one to three users
    policy = policies[name]
    users = ["u3", "somebody", "u0", NEW, "u3", "u11"]
    history = {"u3": [(4, 5.0), (9, 1.5)], "somebody": [(7, 1.0)], NEW: [(1, 4.0), (2, 2.0), (7, 5.0)]}
    exclude, only = {"u0": [1, 2, 3], NEW: [5]}, {"u11": range(0, ITEMS, 2)}
    together = policy.recommend(users, 7, history=history, exclude=exclude, only=only)
    assert together["user"].to_list() == [u for u in ("u3", "somebody", "u0", None, "u3", "u11") for _ in range(7)]
    assert together["known"].to_list() == [k for k in (True, False, True, False, True, True) for _ in range(7)]
    for place, user in enumerate(users):
        alone = policy.recommend(user, 7, history=history, exclude=exclude, only=only)
        some = together[7 * place : 7 * place + 7]
        assert alone.equals(some)  # to the bit


@every_policy
def test_a_user_in_no_log_is_answered(name: str, policies: dict[str, TrainedPolicy]) -> None:
    policy = policies[name]
    answer = policy.recommend(NEW, ITEMS)
    assert sorted(answer["item"]) == list(range(ITEMS))
    assert not answer["known"].any()
    assert policy.recommend("whoever", ITEMS).drop("user").equals(answer.drop("user"))
    ten = [(item, 1.0 + item % 5) for item in range(10)]
    turned = [(item, 5.0 - item % 5) for item in range(10)]
    first, second = (policy.recommend(NEW, ITEMS, history=events) for events in (ten, turned))
    assert sorted(first["item"]) == list(range(10, ITEMS))
    assert first["item"].equals(second["item"]) == (name == "list")  # the history moves the answer of all others


@every_policy
def test_unknown_items_are_named_and_left_out(name: str, policies: dict[str, TrainedPolicy]) -> None:
    policy = policies[name]
    for user in ("u5", NEW):
        wanted = policy.recommend(user, 5, history=[(2, 5.0)])
        with pytest.warns(DarlrWarning, match="option history: items that the log does not hold were left out: 'hat'$"):
            assert policy.recommend(user, 5, history=[("hat", 1.0), (2, 5.0)]).equals(wanted)
        with pytest.warns(DarlrWarning, match="'hat', 'a', 'b', 'c', 'd' and 1 more"):
            nothing = policy.recommend(user, 5, history=[(item, 1.0) for item in ("hat", *"abcde", "hat")])
        assert nothing.equals(policy.recommend(user, 5))


def test_new_items_leave_out_what_the_log_holds(policies: dict[str, TrainedPolicy]) -> None:
    answer = policies["learned"].recommend([f"u{n}" for n in range(USERS)] + [NEW], ITEMS, new_items=True)
    for user in range(USERS):
        logged = set(select(LOG, LOG.user == user).item.tolist())
        assert set(answer.filter(user=f"u{user}")["item"]) == set(range(ITEMS)) - logged
    assert len(answer.filter(known=False)) == ITEMS


def test_rules_of_unknown_items(policies: dict[str, TrainedPolicy]) -> None:
    policy = policies["learned"]
    with pytest.warns(DarlrWarning, match="option exclude: items that the log does not hold") as seen:
        found = policy.recommend(["u1", "u2"], 5, exclude={"u1": ["hat"], "u2": ["cap", "hat"]})
    assert found.equals(policy.recommend(["u1", "u2"], 5))
    assert [str(one.message).rpartition(": ")[2] for one in seen] == ["'hat', 'cap'"]  # one warning for all users
    with pytest.warns(DarlrWarning, match="option only: items that the log does not hold were left out: 'hat'"):
        assert policy.recommend("u1", 5, only=["hat", "3"])["item"].to_list() == [3]
    assert policy.recommend(["u1", "u2"], 5, only=7)["item"].to_list() == [7, 7]
    assert policy.recommend(["u1", NEW], 5, only=[]).is_empty()
    assert policy.recommend([], 5).is_empty()


@pytest.mark.parametrize("users", [None, ["u1", None], float("nan"), [["u1", "u2"]]])
def test_what_is_no_user_id_is_refused(policies: dict[str, TrainedPolicy], users: Any) -> None:
    with pytest.raises(ConfigError, match=r"option users: .* is no user id; leave it out, or name darlr\.NEW"):
        policies["learned"].recommend(users, 5)


def test_frames_are_no_ids(policies: dict[str, TrainedPolicy]) -> None:
    policy, frame = policies["learned"], pl.DataFrame({"sku": [3, 4], "reward": [1.0, 2.0]})
    with pytest.raises(ConfigError, match="option users: a frame is no list of ids"):
        policy.recommend(frame, 5)  # type: ignore[arg-type]
    for option in ("exclude", "only"):
        with pytest.raises(ConfigError, match=f"option {option}: a frame is no list of ids"):
            policy.recommend("u1", 5, **{option: frame})
        policy.recommend("u1", 5, **{option: frame["sku"]})
    with pytest.raises(ConfigError, match=r"option history: a frame holds no pairs; give its rows"):
        policy.recommend("u1", 5, history=frame)  # type: ignore[arg-type]
    assert len(policy.recommend("u1", 5, history=frame.rows())) == 5


SOME = st.sets(st.integers(0, ITEMS + 3))  # some are in no catalogue
RULE = st.none() | SOME | st.dictionaries(st.sampled_from(["u1", "u2", "who", NEW]), SOME)


@pytest.mark.filterwarnings("ignore::darlr.errors.DarlrWarning")
@given(st.sampled_from(sorted(POLICIES)), RULE, RULE, st.integers(1, ITEMS + 2), st.booleans())
def test_exclude_and_only_are_never_violated(
    policies: dict[str, TrainedPolicy], name: str, exclude: Any, only: Any, n: int, new_items: bool
) -> None:
    users = ["u1", "u2", "who", NEW]
    history = {"u1": [(3, 2.0)], NEW: [(5, 1.0)]}
    answer = policies[name].recommend(users, n, history=history, exclude=exclude, only=only, new_items=new_items)
    for user in users:
        allowed = set(range(ITEMS)) - {item for item, _ in history.get(user, [])}
        own = exclude.get(user) if isinstance(exclude, dict) else exclude
        allowed -= own or set()
        own = only.get(user) if isinstance(only, dict) else only
        allowed &= allowed if own is None else own
        if new_items and user in ("u1", "u2"):
            allowed -= set(LOG.item[LOG.user == int(str(user)[1:])].tolist())
        shown = answer.filter(answer["user"].eq_missing(None if user is NEW else user))
        assert set(shown["item"]) <= allowed
        assert len(shown) == shown["item"].n_unique() == min(n, len(allowed))
        assert shown["rank"].to_list() == list(range(1, len(shown) + 1))
        assert shown["score"].is_sorted(descending=True)
