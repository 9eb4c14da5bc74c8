import numpy as np
import pytest
import torch

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.sets import kuairand as reader
from darlr.data.sets.yahoo import TRAIN
from darlr.errors import DataError
from darlr.evaluation import completion as module
from darlr.evaluation.completion import Priors, complete, fit
from darlr.evaluation.public_truths import COMPLETED
from darlr.evaluation.truth import load_truth
from darlr.options import CoatConfig, YahooConfig
from tests.raw import kuairand, yahoo

USERS, ITEMS, EACH = 150, 40, 20


def world(seed=0):
    """Clicks on random items, EACH a user, and their true chances [USERS, ITEMS]: two groups of users whose group is a
    feature like opposite halves of the items."""
    rng = np.random.default_rng(seed)
    group, half = np.arange(USERS) % 2, np.arange(ITEMS) % 2
    logit = (
        1.5 * np.where(group[:, None] == half, 1, -1) + rng.normal(-0.5, 0.7, ITEMS) + rng.normal(0, 0.5, (USERS, 1))
    )
    chance = 1 / (1 + np.exp(-logit))
    item = np.argsort(rng.random((USERS, ITEMS)), axis=1)[:, :EACH].ravel()
    user = np.repeat(np.arange(USERS), EACH)
    log = InteractionLog(
        name="random",
        user=user,
        item=item,
        reward=(rng.random(len(user)) < chance[user, item]).astype(np.float32),
        user_ids=tuple(range(USERS)),
        item_ids=tuple(range(ITEMS)),
        user_features=(FeatureColumn("group", "categorical", group.astype(np.int64), ("a", "b")),),
    )
    return log, chance


@pytest.fixture(scope="module")
def completed():
    log, chance = world()
    found, notes = complete(log)
    return found.table(np.arange(USERS)).numpy(), notes, log, chance


def test_it_is_near_the_truth_and_far_better_than_item_means(completed):
    table, _, log, chance = completed
    means = np.bincount(log.item, log.reward, ITEMS) / np.bincount(log.item, minlength=ITEMS)
    error = np.sqrt(np.square(table - chance).mean())
    assert error < 0.12
    assert error < 0.5 * np.sqrt(np.square(means - chance).mean())
    assert table.dtype == np.float32
    assert 0 < table.min() < table.max() < 1


def test_it_is_calibrated_against_the_true_chances(completed):
    table, _, _, chance = completed
    for lowest, highest in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.0)):
        inside = (table >= lowest) & (table < highest)
        assert table[inside].mean() == pytest.approx(chance[inside].mean(), abs=0.06)


def test_the_report_sets_it_beside_simple_baselines(completed):
    _, notes, _, _ = completed
    assert notes[0] == "fitted on 2,400 random events; on 600 others:"
    auc = {note.split(":")[0]: float(note.split("AUC ")[1][:5]) for note in notes[1:5]}
    assert auc["completed"] > auc["biases alone"] + 0.1
    assert auc["completed"] > auc["item mean"] + 0.1
    assert auc["constant"] == 0.5
    assert "by tenths" in notes[5]


def test_the_same_events_give_the_same_bits_and_another_seed_another_split(completed):
    table, notes, log, _ = completed
    again, message = complete(log)
    assert (again.table(np.arange(USERS)).numpy() == table).all()
    assert message == notes
    assert complete(log, seed=1)[1] != notes


def test_a_table_in_chunks_is_the_pairs_one_by_one(monkeypatch):
    log, _ = world(2)
    found = fit(log, Priors(3.0, 3.0), 0)
    monkeypatch.setattr(module, "CHUNK", 7 * ITEMS)
    users = np.array([5, 0, 149, 3, 4, 8, 9, 10, 11])
    pairs = found.predict(np.repeat(users, ITEMS), np.tile(np.arange(ITEMS), len(users)))
    np.testing.assert_allclose(found.table(users).numpy().ravel(), pairs, rtol=1e-5)


def test_users_of_whom_only_features_are_known_are_placed_by_them():
    log, _ = world(3)
    known = log.user >= 2  # users 0 and 1, of either group, have no events
    part = InteractionLog(
        **{**vars(log), "user": log.user[known], "item": log.item[known], "reward": log.reward[known]}
    )
    table = fit(part, Priors(1.0, 1.0), 0).table(np.array([0, 1])).numpy()
    assert table[0, ::2].mean() > table[0, 1::2].mean() + 0.2
    assert table[1, 1::2].mean() > table[1, ::2].mean() + 0.2


def test_preferences_are_found_among_uninformative_features():
    users, items, each = 500, 200, 40
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 1, (users, 2)) @ rng.normal(0, 1, (2, items)) + rng.normal(-0.5, 0.7, items)
    item = np.argsort(rng.random((users, items)), axis=1)[:, :each].ravel()
    user = np.repeat(np.arange(users), each)
    noise = tuple(FeatureColumn(f"f{k}", "categorical", rng.integers(0, 5, users), tuple("abcde")) for k in range(20))
    log = InteractionLog(
        name="random",
        user=user,
        item=item,
        reward=(rng.random(len(user)) < 1 / (1 + np.exp(-logit[user, item]))).astype(np.float32),
        user_ids=tuple(range(users)),
        item_ids=tuple(range(items)),
        user_features=noise,
    )
    _, notes = complete(log)
    auc = {note.split(":")[0]: float(note.split("AUC ")[1][:5]) for note in notes[1:3]}
    assert auc["completed"] > auc["biases alone"] + 0.09


def test_kuairands_truth_reads_the_random_log_alone(tmp_path):
    raw = kuairand.write(tmp_path / "kuairand", users=40, videos=25, standard=300, random=900)
    truth = load_truth("kuairand", tmp_path)
    assert truth.reward.shape == (40, 25)
    assert truth.notes[0] == COMPLETED
    assert truth.notes[-1] == f"dropped {raw.repeats[1]}: exact repeats of an event (user, video, time, click)"
    chance = raw.probability()
    assert np.corrcoef(truth.reward.numpy().ravel(), chance.ravel())[0, 1] > 0.5
    for name in reader.STANDARD:
        (tmp_path / "kuairand" / name).unlink()
    assert torch.equal(load_truth("kuairand", tmp_path).reward, truth.reward)


def test_yahoos_truth_is_of_the_test_files_users_and_reads_no_train_rating(tmp_path):
    yahoo.write(tmp_path / "yahoo", users=40, songs=25, ratings=300, tested=30)
    truth = load_truth("yahoo", tmp_path)
    assert (truth.users.tolist(), truth.reward.shape) == (list(range(30)), (30, 25))
    assert 1 <= truth.reward.min() < truth.reward.max() <= 5
    path = tmp_path / "yahoo" / TRAIN
    path.write_text("".join(f"{line[:-1]}5\n" for line in path.read_text().splitlines()))
    assert torch.equal(load_truth("yahoo", tmp_path).reward, truth.reward)


def test_a_given_matrix_is_taken_instead(tmp_path):
    yahoo.write(tmp_path / "yahoo", users=5, songs=4, ratings=20, tested=2, each=4)
    given = tmp_path / "matrix.txt"
    given.write_text("1 2.5 3 4\n5 4 3 2\n")
    truth = load_truth("yahoo", tmp_path, YahooConfig(given))
    assert truth.reward.tolist() == [[1, 2.5, 3, 4], [5, 4, 3, 2]]
    assert truth.notes == ("given in the file matrix.txt",)
    for text, message in (
        ("1 2 3 4\n", "1 x 4 values; the users of the test file x songs are 2 x 4"),
        ("1 2 3 4\n5 4 3 0\n", "row 2, column 4: 0 is not a rating 1 to 5"),
        ("1 2 3 4\n5 4 x 1\n", "row 2, column 3: 'x' is not a number"),
    ):
        given.write_text(text)
        with pytest.raises(DataError, match=message):
            load_truth("yahoo", tmp_path, YahooConfig(given))


def test_coats_own_matrix_beats_item_means_on_held_out_ratings(data_folder):
    truth = load_truth("coat", data_folder, CoatConfig(complete=True))
    assert truth.reward.shape == (290, 300)
    auc = {note.split(":")[0]: float(note.split("AUC ")[1][:5]) for note in truth.notes if "AUC" in note}
    assert auc["completed"] > 0.75 > 0.65 > auc["item mean"]
