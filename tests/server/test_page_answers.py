"""What the page asks of the server: the numbers, their bounds, and what is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import darlr
from darlr.options import ServeConfig
from darlr.server.page.finder import Finder
from tests.server.conftest import Running
from tests.server.shop import ITEMS, TURNS, hostile_log

HISTORY = [{"item": ITEMS[0], "reward": 5.0}, {"item": ITEMS[9], "reward": 1.0}]


@pytest.fixture(scope="module")
def shop(shop_run: Path) -> Iterator[Running]:
    running = Running(ServeConfig((shop_run,)))
    yield running
    running.end()


def test_a_turn_holds_what_the_policy_and_the_explanation_say(shop: Running, shop_run: Path) -> None:
    wanted = {"user": "<u>3", "history": HISTORY, "count": 4, "strategy": "explore", "request_id": "r"}
    turn = shop.post("/page/turn", wanted).body
    model = darlr.load(shop_run)
    pairs = [(one["item"], one["reward"]) for one in HISTORY]
    more = {"strategy": "explore", "request_id": "r", "history": pairs}
    answer = model.recommend("<u>3", 4, **more)  # type: ignore[arg-type]
    assert [(c["id"], c["propensity"]) for c in turn["cards"]] == answer.select("item", "propensity").rows()
    for card in turn["cards"][:2]:
        said = shop.post("/page/reasons", {"user": "<u>3", "history": HISTORY, "item": card["id"]}).body
        found = model.explain("<u>3", card["id"], pairs)
        assert said["frozen"] == card["expected"] == pytest.approx(found.world_model)
        assert (said["dynamic"], said["penalty"], said["paid"]) == (found.reward, found.penalty, found.paid)
        assert said["references"] == found.references.to_dicts()
        assert card["ends"] == found.leaves
    assert turn["user_known"]
    assert [one["id"] for one in turn["shown"]] == [one["item"] for one in HISTORY]
    assert not shop.sink.decisions  # a person who tries out the page is no user


def test_the_popularity_list_plays_the_same_session(shop: Running) -> None:
    log = hostile_log()
    users = {item: {int(u) for u, i in zip(log.user, log.item, strict=True) if i == item} for item in range(len(ITEMS))}
    order = sorted(users, key=lambda item: (-len(users[item]), item))
    kinds = [set(row[row >= 0]) for row in log.category_codes()]  # type: ignore[union-attr]
    history = [{"item": ITEMS[item], "reward": 2.0} for item in (order[0], 11, 12, 13, 14)]
    beside = shop.post("/page/turn", {"user": None, "history": history}).body["beside"]
    played = []
    for item in order[: len(history)]:
        leaves = bool(played) and bool(kinds[item] & kinds[played[-1]])
        played.append(item)
        if leaves:
            break
    assert beside["items"] == [ITEMS[item] for item in played]
    assert beside["lost"] == leaves
    assert (beside["rewards"][0], beside["answered"][0]) == (2.0, True)


def test_a_session_ends_by_the_exit_rule_or_by_its_length(shop: Running) -> None:
    kinds = [set(row[row >= 0]) for row in hostile_log().category_codes()]  # type: ignore[union-attr]
    pairs = [(a, b) for a in range(len(ITEMS)) for b in range(len(ITEMS)) if a != b]
    alike = next((a, b) for a, b in pairs if kinds[a] & kinds[b])
    other = next((a, b) for a, b in pairs if not kinds[a] & kinds[b])
    for (first, then), end in ((alike, "exit"), (other, None)):
        history = [{"item": ITEMS[one], "reward": 3.0} for one in (first, then)]
        turn = shop.post("/page/turn", {"user": None, "history": history}).body
        assert turn["ended"] == end
        enders = {ITEMS[item] for item, one in enumerate(kinds) if kinds[then] & one}
        enders -= {ITEMS[first], ITEMS[then]}
        assert turn["ending"] == len(enders)
        assert set(turn["enders"]) <= enders
    whole = [{"item": ITEMS[one], "reward": 3.0} for one in [*other * TURNS][:TURNS]]
    assert shop.post("/page/turn", {"user": None, "history": whole}).body["ended"] == "turns"


def test_answers_move_a_new_user(shop: Running) -> None:
    before = shop.post("/page/turn", {"user": None, "count": 20}).body
    after = shop.post("/page/turn", {"user": "nobody", "history": HISTORY, "count": 20}).body
    assert not after["user_known"]
    assert before["taste"] == []
    assert all(card["moved"] == pytest.approx(0, abs=1e-5) for card in before["cards"])
    assert any(abs(card["moved"]) > 1e-3 for card in after["cards"])
    moved = [one["moved"] for one in after["categories"]]
    assert moved == sorted(moved, reverse=True)
    assert "no reference users" in shop.post("/page/reasons", {"user": None, "item": ITEMS[1]}).body["missing"]


def test_what_cannot_be_asked(shop: Running) -> None:
    for path, body in (
        ("/page/turn", {"arm": "none"}),
        ("/page/turn", {"count": 1000}),
        ("/page/turn", {"user": None, "history": [{"item": ITEMS[0], "reward": 99}]}),
        ("/page/turn", {"users": 3}),
        ("/page/reasons", {"user": "<u>3", "item": "none"}),
    ):
        assert shop.post(path, body).status == 422, body
    for path in ("/page/users?most=1000", "/page/items?query=" + "x" * 101, "/page/arm?arm=x", "/page/training?arm=x"):
        assert shop.get(path).status == 422, path
    assert shop.get("/page/files/..%2fmessages.py").status == 404


def test_the_files_forbid_everything_foreign(shop: Running) -> None:
    page = shop.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "trusted-types 'none'" in policy
    tag = page.headers["etag"]
    assert shop.get("/", **{"If-None-Match": tag}).status == 304
    script = shop.get("/page/files/app.js")
    assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")


def test_keys_guard_the_data_and_not_the_files(run: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a-key-of-enough-letters\n", "utf-8")
    running = Running(ServeConfig((run,), keys=tmp_path / "keys"))
    try:
        assert running.get("/").status == 200
        for path in ("/page/arms", "/page/arm", "/page/users", "/page/items", "/page/comparison", "/page/training"):
            assert running.get(path).status == 401
            assert running.get(path, Authorization="Bearer a-key-of-enough-letters").status == 200
        assert running.post("/page/turn", {}).status == running.post("/page/reasons", {}).status == 401
    finally:
        running.end()


def test_the_page_can_be_left_out(run: Path) -> None:
    running = Running(ServeConfig((run,), page=False))
    try:
        assert running.get("/").status == running.get("/page/arms").status == 404
    finally:
        running.end()


def test_the_run_is_shown_from_its_files(shop: Running, shop_run: Path) -> None:
    training = shop.get("/page/training").body
    assert {"reward", "turns", "greedy_return"} <= {curve["name"] for curve in training["curves"]}
    assert training["report"] is None
    assert any("darlr evaluate" in text for text in training["missing"])
    (shop_run / "table.json").write_text("[]", "utf-8")
    assert any("damaged" in text for text in shop.get("/page/training").body["missing"])
    (shop_run / "table.json").unlink()
    assert shop.get("/page/comparison").body["reports"] == []


@settings(max_examples=30)
@given(st.lists(st.text(max_size=6), max_size=12), st.text(max_size=3), st.integers(1, 5))
def test_a_search_finds_what_a_loop_finds(texts: list[str], query: str, most: int) -> None:
    found = list(Finder(texts).find(query, most))
    wanted = query.strip().casefold().replace("\n", " ")
    folded = [text.casefold() for text in texts]
    if "\n" in "".join(texts):
        assert set(found) <= set(range(len(texts)))
        return
    first = [place for place, text in enumerate(folded) if text.startswith(wanted)]
    rest = [place for place, text in enumerate(folded) if wanted in text and place not in first]
    assert found == (first + rest)[:most]
