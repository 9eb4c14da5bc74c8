from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.sets.synthetic import generate
from darlr.data.sources import prepare
from darlr.errors import DataError
from darlr.evaluation.public_truths import random_ratings
from darlr.evaluation.truth import FILE, RandomFeedback, Truth, has_truth, load_truth, write_truth
from darlr.options import SyntheticConfig

SMALL = SyntheticConfig(users=5, items=7, categories=3)
BLOCK = Truth(np.array([3, 1]), np.array([2]), torch.tensor([[0.5], [1.0]]))


def test_the_synthetic_truth_is_the_world_the_log_came_from():
    truth = load_truth("synthetic", options=SMALL)
    assert (truth.reward.numpy() == generate(SMALL).reward).all()
    assert truth.users.tolist() == list(range(5))
    assert truth.items.tolist() == list(range(7))


def test_a_prepared_folder_keeps_its_truth(tmp_path):
    prepare("synthetic", tmp_path / "out", options=SMALL)
    assert load_truth(str(tmp_path / "out")) is None
    write_truth(BLOCK, tmp_path / "out")
    found = load_truth(str(tmp_path / "out"))
    assert (found.users.tolist(), found.items.tolist(), found.reward.tolist()) == ([3, 1], [2], [[0.5], [1.0]])


def test_a_truth_of_other_data_or_a_damaged_one_is_refused(tmp_path):
    prepare("synthetic", tmp_path / "one", options=SMALL)
    prepare("synthetic", tmp_path / "two", options=SyntheticConfig(users=6, items=7))
    write_truth(BLOCK, tmp_path / "one")
    write_truth(BLOCK, tmp_path / "two")
    (tmp_path / "two" / FILE).write_bytes((tmp_path / "one" / FILE).read_bytes())
    with pytest.raises(DataError, match="belongs to another data set"):
        load_truth(str(tmp_path / "two"))
    (tmp_path / "one" / FILE).write_bytes(b"short")
    with pytest.raises(DataError, match=r"truth\.safetensors: damaged"):
        load_truth(str(tmp_path / "one"))


def test_the_manifest_records_whether_there_is_a_truth(tmp_path):
    folder = tmp_path / "one"
    prepare("synthetic", folder, options=SMALL, finish=lambda draft: write_truth(BLOCK, draft))
    assert has_truth(str(folder))
    whole = (folder / FILE).read_bytes()
    (folder / FILE).unlink()  # it must not pass as data without a truth, on which other things are done
    with pytest.raises(DataError, match=r"truth\.safetensors: is missing, although dataset\.json says"):
        load_truth(str(folder))
    prepare("synthetic", folder, options=SMALL)
    assert not has_truth(str(folder))
    (folder / FILE).write_bytes(whole)
    with pytest.raises(DataError, match="no part of this data set"):
        load_truth(str(folder))


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (Truth(np.array([5]), np.array([2]), torch.ones(1, 1)), "codes of users must be distinct and from 0 to 4"),
        (Truth(np.array([0]), np.array([-1]), torch.ones(1, 1)), "codes of items must be distinct and from 0 to 6"),
        (Truth(np.array([1, 1]), np.array([2]), torch.ones(2, 1)), "codes of users must be distinct"),
        (Truth(np.array([1.0]), np.array([2]), torch.ones(1, 1)), "codes of users must be distinct"),
        (Truth(np.array([1]), np.array([2]), torch.full((1, 1), torch.nan)), "NaN or infinite"),
        (replace(BLOCK, random=RandomFeedback(torch.tensor([2]), torch.ones(1), 1)), "random feedback lies outside"),
    ],
)
def test_a_truth_that_does_not_fit_its_data_is_neither_written_nor_read(tmp_path, monkeypatch, truth, message):
    prepare("synthetic", tmp_path / "one", options=SMALL)
    with pytest.raises(DataError, match=message):
        write_truth(truth, tmp_path / "one")
    with monkeypatch.context() as unchecked:
        unchecked.setattr("darlr.evaluation.truth._check", lambda *_: None)
        write_truth(truth, tmp_path / "one")
    with pytest.raises(DataError, match=message):
        load_truth(str(tmp_path / "one"))


def test_shapes_must_agree():
    with pytest.raises(DataError, match="rewards are"):
        Truth(np.array([0]), np.array([0]), torch.zeros(2, 1))


def test_coat_reference_sums(data_folder):
    reward = load_truth("coat", data_folder).reward
    assert reward.shape == (290, 300)
    assert 30 * float(reward.mean()) == pytest.approx(67.0, abs=0.05)  # random
    assert float(reward.mean(0).topk(30).values.sum()) == pytest.approx(84.1, abs=0.05)  # best fixed list
    assert float(reward.topk(30).values.sum(1).mean()) == pytest.approx(88.15, abs=0.01)  # oracle


def test_coat_random_ratings(data_folder):
    log = random_ratings(data_folder)
    assert len(log) == 4640
    assert (np.bincount(log.user) == 16).all()
    assert log.timestamp is None
