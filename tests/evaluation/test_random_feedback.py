"""Feedback on new items that were drawn at random: by hand, without bias, in tables and back from disk."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.cli.main import main
from darlr.data.log import InteractionLog
from darlr.data.sources import prepare
from darlr.evaluation.evaluate import settings, sound, summarise
from darlr.evaluation.lists import Entry
from darlr.evaluation.playing import Played, Setting
from darlr.evaluation.public_truths import random_ratings
from darlr.evaluation.report import print_tables, random_text
from darlr.evaluation.result import Evaluation
from darlr.evaluation.statistics import (
    Samples,
    _random_draws,
    draw_samples,
    random_difference,
    random_interval,
    random_reward,
)
from darlr.evaluation.truth import RandomFeedback, Truth, load_truth, random_feedback, write_truth
from darlr.experiments.logs import open_logs
from darlr.experiments.study.assemble import Line, ModeTable, _lines, by_random_feedback
from darlr.experiments.study.cells import Result
from darlr.experiments.study.grid import Variant
from darlr.experiments.study.report import study
from darlr.experiments.study.worker import Task, play_all, truth_of
from darlr.options import RunConfig, SyntheticConfig
from darlr.policies.fixed import FixedList, UserGreedy
from darlr.simulation.exits import never
from tests.world.tiny import log_of

NX_0 = Setting("NX_0", None, never, 3)


def events(user, item, reward, n_users=4, n_items=6) -> InteractionLog:
    """Feedback on random items."""
    return log_of(user, item, reward, n_users, n_items, reward_range=(1, 5))


def samples_of(tallies: np.ndarray) -> Samples:
    """Bootstrap samples of seeds and users."""
    return draw_samples(tallies.shape[:2], np.random.default_rng(0))


# Users 3, 1, 0 and items 5, 2, 0, 4 are the truth's; user 2 and item 1 lie outside; user 3 rated item 2 twice.
DRAWN = events([3, 3, 3, 1, 1, 2, 0], [2, 2, 4, 0, 1, 2, 5], [5, 4, 1, 2, 5, 5, 3])
USERS, ITEMS = np.array([3, 1, 0]), np.array([5, 2, 0, 4])


def test_only_items_that_were_drawn_and_shown_count() -> None:
    found = random_feedback(DRAWN, USERS, ITEMS)
    assert found is not None
    assert found.cell.tolist() == [1, 3, 6, 8]  # (3, 2), (3, 4), (1, 0), (0, 5)
    assert found.reward.tolist() == [4.5, 1.0, 2.0, 3.0]
    shown = torch.tensor([[1, 0, 3], [0, 1, -1], [0, 0, 2]])  # columns of the truth; user 1's session ended early
    tallies = found.tally(torch.arange(3), shown)
    # user 3 has feedback on two items and saw both; user 1 saw none of its items; user 0 saw it twice
    assert tallies.tolist() == [[5.5 / 2, 2 / 2, 3], [0, 0, 2], [6, 2, 3]]
    assert random_reward(tallies[None]) == pytest.approx((8 / 3) * (5.5 / 2 + 6) / 3)


def test_what_the_log_holds_is_left_out() -> None:
    found = random_feedback(DRAWN, USERS, ITEMS)
    assert found is not None
    log = events([3, 3, 1, 0, 2], [2, 5, 1, 5, 0], [5, 5, 5, 5, 5])  # two of the four pairs, and pairs outside
    truth = Truth(USERS, ITEMS, torch.ones(3, 4), random=found)
    new = truth.beside(log).random
    assert new is not None
    assert new.cell.tolist() == [3, 6]  # (3, 4), (1, 0)
    assert new.reward.tolist() == [1.0, 2.0]
    # user 3 saw both of its items, of which one counts, with one event
    assert new.tally(torch.arange(3), torch.tensor([[1, 0, 3], [0, 1, -1], [0, 0, 2]]))[0].tolist() == [1, 1, 3]
    assert truth.beside(DRAWN).random is None


def test_without_feedback_there_is_no_estimate() -> None:
    assert random_feedback(DRAWN, np.array([2]), np.array([0])) is None
    found = random_feedback(DRAWN, np.array([1]), np.array([0]))
    assert found is not None
    assert found.tally(torch.tensor([0]), torch.tensor([[-1, -1]])).tolist() == [[0, 0, 0]]
    assert random_reward(np.zeros((1, 1, 3))) is None


def test_it_estimates_what_all_shown_items_would_have_earned() -> None:
    generator = np.random.default_rng(0)
    users, items, shown = 40, 30, 6
    reward = generator.uniform(1, 5, (users, items)).astype(np.float32) + np.linspace(0, 2, users)[:, None]
    lists = (-reward - generator.normal(0, 1, reward.shape)).argsort(1)[:, :shown]  # the better items, more or less
    truth = np.take_along_axis(reward, lists, 1).sum(1).mean()
    wanted = np.full(users, 4)
    wanted[: users // 2] = 16  # some have more random items, and smaller rewards
    given = []
    for _ in range(300):
        drawn = [(u, i) for u in range(users) for i in generator.permutation(items)[: wanted[u]]]
        user, item = np.array(drawn).T
        found = random_feedback(
            events(user, item, reward[user, item], users, items), np.arange(users), np.arange(items)
        )
        assert found is not None
        given.append(random_reward(found.tally(torch.arange(users), torch.from_numpy(lists))[None]))
    assert np.mean(given) == pytest.approx(truth, rel=0.01)
    assert truth > reward.mean() * shown * 1.1  # what any item earns would be another number


def test_the_interval_is_over_users_and_seeds() -> None:
    generator = np.random.default_rng(1)
    given = generator.integers(1, 6, (1, 50)).astype(float)
    tallies = np.stack([given, np.ones((1, 50)), np.full((1, 50), 30.0)], 2)
    low, high = random_interval(tallies, samples_of(tallies))
    middle = random_reward(tallies)
    assert middle is not None
    assert low < middle < high
    assert (high - low) / 2 == pytest.approx(1.96 * 30 * given.std() / 50**0.5, rel=0.1)
    apart = np.concatenate([tallies, tallies + np.array([1.0, 0.0, 0.0])])  # seeds that differ widen it
    assert np.diff(random_interval(apart, samples_of(apart))) > 1.2 * (high - low)
    assert np.isnan(_random_draws(np.zeros((1, 3, 3)), samples_of(np.zeros((1, 3, 3))))[0]).all()


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(2)
    given = generator.integers(1, 6, (1, 60)).astype(float)
    one = np.stack([given + 0.1, np.ones((1, 60)), np.full((1, 60), 10.0)], 2)
    other = np.stack([given, np.ones((1, 60)), np.full((1, 60), 10.0)], 2).repeat(3, 0)
    found = random_difference(one, other)
    assert found == pytest.approx((1.0, 1.0, 1.0))  # users alike on both sides: nothing is uncertain
    assert random_difference(other, one) == pytest.approx((-1.0, -1.0, -1.0))


LOG = events([0, 1, 3], [0, 1, 2], [5, 5, 1])
TRUTH = Truth(USERS, ITEMS, torch.ones(3, 4), random=random_feedback(DRAWN, USERS, ITEMS))
LISTED = Entry("list", [FixedList(torch.arange(6.0))], "log")  # 5, 4, 2, 0


def test_a_row_carries_it() -> None:
    (row,) = sound([LISTED], [NX_0], TRUTH, LOG)
    assert row.mean == 3.0
    # shown 5, 4, 2: user 3 gave 1 to item 4 and 4.5 to item 2, user 1 nothing, user 0 gave 3 to item 5
    assert row.random == pytest.approx(3 * (5.5 / 2 + 3) / 2)
    assert row.random_interval is not None
    assert row.random_interval[0] <= row.random <= row.random_interval[1]
    (plain,) = sound([LISTED], [NX_0], replace(TRUTH, random=None), LOG)
    assert (plain.random, plain.random_interval, plain.tallies) == (None, None, None)


def test_reports_have_a_column_where_it_is_known(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = sound([LISTED], [NX_0], TRUTH, LOG)
    assert row.random_interval is not None
    text = Evaluation([row]).markdown()
    cell = f"{row.random:.2f} [{row.random_interval[0]:.2f}, {row.random_interval[1]:.2f}]"
    assert f"| {cell} | 1 |" in text
    assert "R_random" in text
    Evaluation([row]).save(tmp_path)
    (saved,) = json.loads((tmp_path / "table.json").read_text("utf-8"))["rows"]
    assert saved["random_interval"] == list(row.random_interval)
    print_tables([row])
    printed = capsys.readouterr().out
    assert "R_random" in printed
    assert "R_each" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    plain = Evaluation([replace(row, random=None, random_interval=None)]).markdown()
    assert "R_random" not in plain


def line(name: str, given: float, kind="learned") -> Line:
    measured = {"R_tra": 0.0, "Length": 3.0, "R_each": 0.0, "CV": 0.1, "MCD": None}
    tallies = np.stack([np.full(4, given), np.ones(4), np.full(4, 3.0)], 1)
    played = [Played(np.full(4, 5 - given), measured, tallies)] * 2
    row = summarise(Entry(name, (), kind), NX_0, played)
    return Line(row, Variant(name, "darlr"), [])


def test_a_comparison_ranks_by_it_too() -> None:
    lines = [line("good", 2.0), line("better", 3.0), line("oracle", 4.0, "truth")]
    ranked = by_random_feedback(lines)
    assert [one.row.name for one, _ in ranked] == ["oracle", "better", "good"]
    assert [apart for _, apart in ranked] == [None, pytest.approx((0.0, 0.0, 0.0)), pytest.approx((3.0, 3.0, 3.0))]
    assert by_random_feedback([replace(lines[0], row=replace(lines[0].row, random=None))]) == []


def test_a_cell_keeps_its_random_feedback(tmp_path) -> None:
    config = RunConfig(synthetic=SyntheticConfig(users=24, items=16, categories=4, events_per_user=8))
    logs, truth = open_logs(config), load_truth("synthetic", options=config.synthetic)
    assert truth is not None
    cells = torch.arange(0, truth.reward.numel(), 3)
    truth = replace(truth, random=RandomFeedback(cells, truth.reward.flatten()[cells], 16))
    listed = Entry("list", [FixedList(torch.arange(16.0))], "log")
    task = Task(tmp_path, {"seed": 0, "identity": {"windows": [1]}}, config)
    tensors, about = play_all(task, logs, [listed], truth)
    about |= {"code": "c", "cpu_seconds": 1.0, "steps": 0, "command": "", "curve": []}
    result = Result(tmp_path, {name: tensor.double().numpy() for name, tensor in tensors.items()}, about)
    grid_row = Variant("list", "trivial")
    (found,) = _lines(grid_row, [result, result], "NX_0", 1)
    (setting,) = (one for one in settings(config.train.session, logs.catalogue, (1,)) if one.mode == "NX_0")
    (wanted,) = sound([listed], [setting], truth, logs.train_catalogue)
    assert found.row.random == wanted.random
    assert wanted.random == pytest.approx(wanted.mean, rel=0.25)  # a third of the cells tells nearly what all do
    table = ModeTable("NX_0", 1, [replace(found, best=True, tied=True)])
    text = study("Title", [table], {}).markdown()
    assert "### NX_0: no repeats, exit window N = 1, by random feedback on new items" in text
    assert f"| **list** | {random_text(found.row, '.2f')} | first | {wanted.mean:.2f} |" in text


def memorised(folder) -> tuple[RunConfig, InteractionLog]:
    """A data set whose users give 7 to the items of their log, and 3 to all others."""
    small = SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)
    prepare("synthetic", folder, options=small)
    config = RunConfig(data=str(folder))
    log, truth = open_logs(config).whole, load_truth("synthetic", options=small)
    assert truth is not None
    given = torch.full(truth.reward.shape, 3.0)
    given[log.user, log.item] = 7.0
    feedback = RandomFeedback(torch.arange(given.numel()), given.flatten(), 16)
    write_truth(replace(truth, random=feedback), folder)
    return config, log


def test_neither_a_cell_nor_a_table_counts_what_a_policy_may_memorise(tmp_path) -> None:
    config, log = memorised(tmp_path / "data")
    logs = open_logs(config)
    again = torch.zeros(24, 16)
    again[log.user, log.item] = 1.0
    known = Entry("what the log holds", [UserGreedy(again)], "log")
    (setting,) = (one for one in settings(config.train.session, logs.catalogue, (1,)) if one.mode == "NX_10")
    whole = load_truth(config.data)
    assert whole is not None
    (row,) = sound([known], [setting], whole, logs.train_catalogue)
    assert row.random is not None
    assert row.random > 4 * row.length
    (row,) = sound([known], [setting], truth_of(config, logs), logs.train_catalogue)
    assert row.random == pytest.approx(3 * row.length)

    run = tmp_path / "run"
    options = [
        "--model.members",
        "2",
        "--model.epochs",
        "1",
        "--epochs",
        "1",
        "--steps",
        "500",
        "--selector.picks",
        "3",
    ]
    assert main(["train", "--data", config.data, "--out", str(run), *options, "--no-watch"]) == 0
    assert main(["evaluate", str(run), "--no-pictures"]) == 0
    rows = json.loads((run / "table.json").read_text("utf-8"))["rows"]
    rows = [row for row in rows if row["random"] is not None]
    assert len(rows) > 10
    assert [row["random"] for row in rows] == pytest.approx([3 * row["length"] for row in rows])


def test_a_prepared_folder_keeps_it(tmp_path) -> None:
    prepare("synthetic", tmp_path / "out")
    write_truth(TRUTH, tmp_path / "out")
    found = load_truth(str(tmp_path / "out"))
    assert found is not None
    assert isinstance(found.random, RandomFeedback)
    assert found.random.cell.tolist() == [1, 3, 6, 8]
    assert found.random.reward.tolist() == [4.5, 1.0, 2.0, 3.0]
    assert found.random.columns == 4
    write_truth(replace(TRUTH, random=None), tmp_path / "out")
    assert load_truth(str(tmp_path / "out")).random is None


def test_coat_has_sixteen_ratings_a_user(data_folder) -> None:
    truth, log = load_truth("coat", data_folder), random_ratings(data_folder)
    assert truth is not None
    assert truth.random is not None
    assert len(truth.random.cell) == len(log) == 4640
    shown = torch.arange(300).expand(290, -1)
    tallies = truth.random.tally(torch.arange(290), shown)
    assert (tallies[:, 1] == 1).all()  # everything shown: all sixteen of sixteen
    assert random_reward(tallies[None]) == pytest.approx(300 * log.reward.mean(), rel=1e-6)
