"""The floor of a simulated step, worked by hand for tiny settings, and the command that measures beside it."""

from dataclasses import replace

import pytest

from benchmarks import limit, machine
from benchmarks.floor import Floor, Sizes, floor
from benchmarks.hot_loop import prepare, quick_world
from benchmarks.parts import profile
from darlr.methods import Method
from darlr.options import A2CConfig, RecommenderConfig, SelectorConfig, SessionConfig, TrackerConfig, TrainConfig

SIZES = Sizes(users=5, items=7, item=3, feedback=5)
MBPO = TrainConfig(
    method="mbpo",
    sessions=2,
    session=SessionConfig(turns=3),
    recommender=RecommenderConfig(
        user_in_state=False,
        tracker=TrackerConfig(kind="mean", window=2, dim=4),
        a2c=A2CConfig(hidden=(6,), minibatch=6),
    ),
)
DARLR = replace(
    MBPO,
    method="darlr",
    recommender=replace(MBPO.recommender, user_in_state=True),
    selector=SelectorConfig(
        picks=2,
        projection=3,
        tracker=TrackerConfig(window=2, dim=4, layers=1),
        a2c=A2CConfig(hidden=(6,), minibatch=12),
    ),
)


def by_part(work: Floor) -> dict[str, float]:
    return {part: sum(p.flop for p in work.products if p.part == part) for part in {p.part for p in work.products}}


def test_the_recommender_is_worked_by_hand() -> None:
    work = floor(SIZES, MBPO)
    # a product for the rollout and three for the update, two where nothing below learns; [1, k] x [k, n] is 2kn flop
    expected = {
        "tracker": 3 * (2 * 4 * 4),  # the mean of two tokens' item vectors and rewards, to 4
        "trunk": 4 * (2 * 4 * 6 + 2 * 6 * 1),  # 4 to 6, and the critic
        "actor": 4 * (2 * 6 * 7),
    }
    assert by_part(work) == pytest.approx(expected)
    assert work.exps == 7 + 7
    weights = 5 * 4 + 5 * 6 + 7 * 1 + 7 * 7
    assert work.bytes == pytest.approx(weights * 7 * 4 / 6 + 64)  # Adam, once for 6 steps; one cell


def test_of_sparse_feedback_only_the_entries_are_counted() -> None:
    whole, few = floor(SIZES, DARLR), floor(replace(SIZES, entries=2), DARLR)
    # of 5 users' 5 numbers 2 are read, to 3 and to 4; the rest is the same
    less = by_part(whole)["feedback vectors"] - by_part(few)["feedback vectors"]
    selector = 5 * 3 * 3 * 2 * (1 / 12 + 2 / 12) * 2  # users, numbers, outputs, flop; rollout and minibatch, of 2 picks
    recommender = 2 * 3 * 4 * 2 * (1 / 6 + 2 / 6)
    assert less == pytest.approx(selector + recommender)
    assert whole.flop - few.flop == pytest.approx(less)


def test_smaller_minibatches_cost_more_of_adam_and_no_more_arithmetic() -> None:
    a2c = replace(MBPO.recommender.a2c, minibatch=3)
    work = floor(SIZES, replace(MBPO, recommender=replace(MBPO.recommender, a2c=a2c)))
    assert work.flop == pytest.approx(floor(SIZES, MBPO).flop)
    assert work.bytes == pytest.approx(106 * 7 * 4 / 3 + 64)


def test_the_selector_is_worked_by_hand() -> None:
    work = floor(SIZES, DARLR)
    layer = 2 * 4 * 4  # a row through a layer from 4 to 4
    expected = {
        "tracker": 96,
        "trunk": 4 * (2 * 8 * 6 + 2 * 6 * 1),  # the state holds the user too
        "actor": 336,
        # p of two users to 4, once a rollout and twice a minibatch of 6 steps; of all five to 3 and on to 4, where a
        # minibatch is 12 picks, 6 steps
        "feedback vectors": 3 / 6 * (2 * 2 * 5 * 4) + 3 / 6 * (2 * 5 * 5 * 3) + 4 / 6 * (2 * 5 * 3 * 4),
        # s_rec once a step; for each of two picks the newest token's attention, folded into two layers, and its feed
        "selector's tracker": 3 * (2 * 8 * 4) + 2 * 4 * (2 * layer + 2 * (2 * 4 * 8)),
        "selector's trunk": 2 * 4 * (2 * 4 * 6 + 2 * 6 * 1),
        "selector's actor": 2 * 4 * (2 * 6 * 5),
    }
    assert by_part(work) == pytest.approx(expected)
    assert work.flop == pytest.approx(3747)
    assert work.exps == 2 * 7 + 2 * 2 * 5
    own = (20 + 24 + 54 + 7 + 49) * 28 / 6 + 4 * (2 * 5) * 3 / 6 + 64 * (2 + 3 + 2 + 1)
    picks = (18 + 16 + 36 + 4 * 20 + 40 + 36 + 30 + 7 + 35) * 28 / 12 + 4 * (5 * 5) * 3 / 12
    assert work.bytes == pytest.approx(own + 2 * picks)


def test_a_pool_of_candidates_saves_the_actor_and_its_softmax() -> None:
    whole, pool = floor(SIZES, DARLR), floor(SIZES, replace(DARLR, selector=replace(DARLR.selector, candidates=3)))
    assert whole.flop - pool.flop == pytest.approx(2 * 4 * (2 * 6 * 2))
    assert whole.exps - pool.exps == 2 * 2 * 2


def test_a_last_transformer_layer_reads_the_newest_token_alone() -> None:
    tracker = TrackerConfig(window=3, dim=4, layers=2)
    work = floor(SIZES, replace(MBPO, recommender=replace(MBPO.recommender, tracker=tracker)))
    tokens = (3 + 3 + 2 * 3 + 2 * 3) + (1 + 1 + 2 * 1 + 2 * 1)
    assert by_part(work)["tracker"] == pytest.approx(3 * 3 * (2 * 4 * 4) + 4 * tokens * (2 * 4 * 4))


def test_several_heads_are_not_folded() -> None:
    tracker = TrackerConfig(window=3, dim=4, layers=2, heads=2)
    work = floor(SIZES, replace(MBPO, recommender=replace(MBPO.recommender, tracker=tracker)))
    tokens = (3 + 3 + 3 + 3 + 2 * 3 + 2 * 3) + (1 + 3 + 3 + 1 + 2 * 1 + 2 * 1)
    assert by_part(work)["tracker"] == pytest.approx(3 * 3 * (2 * 4 * 4) + 4 * tokens * (2 * 4 * 4))
    single = floor(SIZES, replace(MBPO, recommender=replace(MBPO.recommender, tracker=replace(tracker, heads=1))))
    assert work.bytes == single.bytes  # Adam holds as much of either


def test_the_floor_is_below_what_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.seconds, "__defaults__", (machine.LEAST / 5, 1))  # rough rates are enough
    limit.main(["--data", "synthetic", "--steps", "100", "--", "--method", "mbpo", "--session.turns", "5"])
    rows = {
        line.split("|")[1].strip(): line.split("|")[2:4] for line in capsys.readouterr().out.splitlines() if "|" in line
    }
    measured, (least, ratio) = float(rows["measured"][0].split()[0]), map(float, rows["floor"])
    assert 0 < least < measured
    assert ratio == pytest.approx(measured / least, rel=0.1)


def test_the_parts_of_a_profile_sum_to_the_cost() -> None:
    config = replace(DARLR, session=SessionConfig(exit="none", turns=3))
    learner, simulator, _ = prepare(*quick_world("synthetic"), config)
    pay, update = Method.pay, learner.recommender.forward
    found = profile(learner, simulator, config.sessions, cost=2.0, rollouts=1)
    assert sum(sum(row) for row in found.parts.values()) == pytest.approx(2.0, rel=0.01)  # it leaves out tiny parts
    assert {"picking", "softmax and sampling", "optimiser", "look-ups"} < found.parts.keys()
    assert Method.pay is pay
    assert learner.recommender.forward == update
    assert found.calls > 10


def test_rates_are_of_the_right_size() -> None:
    assert 1e8 < machine.peak_flops() < 1e13
    assert 1e7 < machine.exps_a_second() < 1e11
    assert 1e8 < machine.bytes_a_second() < 1e12
