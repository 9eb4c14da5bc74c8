import numpy as np
import pytest
import torch

from darlr.config import SyntheticConfig
from darlr.data.prepare import prepare
from darlr.data.synthetic import generate
from darlr.errors import DataError
from darlr.evaluation.truth import FILE, Truth, load_truth, random_ratings, write_truth

SMALL = SyntheticConfig(users=5, items=7, categories=3)
BLOCK = Truth(np.array([3, 1]), np.array([2]), torch.tensor([[0.5], [1.0]]))


def test_the_synthetic_truth_is_the_world_the_log_came_from():
    truth = load_truth("synthetic", synthetic=SMALL)
    assert (truth.reward.numpy() == generate(SMALL).reward).all()
    assert truth.users.tolist() == list(range(5))
    assert truth.items.tolist() == list(range(7))


def test_a_prepared_folder_keeps_its_truth(tmp_path):
    prepare("synthetic", tmp_path / "out", synthetic=SMALL)
    assert load_truth(str(tmp_path / "out")) is None
    write_truth(BLOCK, tmp_path / "out")
    found = load_truth(str(tmp_path / "out"))
    assert (found.users.tolist(), found.items.tolist(), found.reward.tolist()) == ([3, 1], [2], [[0.5], [1.0]])


def test_a_truth_of_other_data_or_a_damaged_one_is_refused(tmp_path):
    prepare("synthetic", tmp_path / "one", synthetic=SMALL)
    prepare("synthetic", tmp_path / "two", synthetic=SyntheticConfig(users=6, items=7))
    write_truth(BLOCK, tmp_path / "one")
    (tmp_path / "two" / FILE).write_bytes((tmp_path / "one" / FILE).read_bytes())
    with pytest.raises(DataError, match="belongs to another data set"):
        load_truth(str(tmp_path / "two"))
    (tmp_path / "one" / FILE).write_bytes(b"short")
    with pytest.raises(DataError, match=r"truth\.safetensors: damaged"):
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
