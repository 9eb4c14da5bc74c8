import math

import numpy as np
import pytest
import torch

from darlr.data.log import FeatureColumn
from darlr.options import WorldModelConfig
from darlr.world.models import deepfm
from darlr.world.models.deepfm import DeepFM, fm_pairs, gaussian_nll
from darlr.world.models.features import encode

CATEGORICAL = FeatureColumn("group", "categorical", np.array([1, -1, 0]), ("a", "b"))
MULTI = FeatureColumn("tags", "multi", np.array([[0, 2], [1, -1], [-1, -1]]), ("x", "y", "z"))
NUMERIC = FeatureColumn("age", "numeric", np.array([1.0, np.nan, 3.0], dtype=np.float32))


def small_model(seed=0, **options):
    config = WorldModelConfig(members=3, embedding=4, hidden=(6, 5), initial_scale=0.5, **options)
    user, item = encode(3, (CATEGORICAL, NUMERIC)), encode(3, (MULTI,))
    model = DeepFM(user, item, config, torch.Generator().manual_seed(seed))
    draw = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():  # zero-initialised parts would hide mistakes
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
    return model


def test_gaussian_nll_by_hand():
    # variance 4, error 3: (log 4 + 9 / 4) / 2
    value = gaussian_nll(torch.tensor(1.0), torch.tensor(math.log(4.0)), torch.tensor(4.0))
    assert math.isclose(float(value), 0.5 * (math.log(4.0) + 2.25), rel_tol=1e-6)


def test_fm_pairs_by_hand():
    # (1,2).(3,4) + (1,2).(5,6) + (3,4).(5,6) = 11 + 17 + 39
    assert float(fm_pairs(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))) == 67.0


def test_features_become_slots():
    side = encode(3, (CATEGORICAL, MULTI, NUMERIC))
    assert side.codes[:, 0].tolist() == [0, 1, 2]  # ids first
    assert side.codes[:, 1].tolist() == [4, 5, 3]  # a missing category has a code of its own
    assert side.weights[:, 2:4].tolist() == [[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]]  # a mean over the values there are
    assert side.codes[2, 2] == 6 + 3
    assert side.weights[:, 4:].tolist() == [[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]  # standardised, or missing
    assert side.field.tolist() == [0, 1, 2, 2, 3, 3]
    assert side.n_codes == 3 + 3 + 4 + 2
    assert int(side.codes.max()) < side.n_codes


def test_forward_equals_an_obvious_member_by_member_computation():
    model = small_model()
    users, items = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 1, 1]]), torch.tensor([[0, 1, 2], [1, 2, 0], [2, 2, 1]])
    mean, log_variance = model(users, items)
    for k in range(3):
        for b in range(3):
            fields, linear = [], torch.zeros(2)
            for side, row in ((model.user, users[k, b]), (model.item, items[k, b])):
                for field in range(side.pool.shape[1]):
                    vector = torch.zeros(4)
                    for slot in side.pool[:, field].nonzero()[:, 0]:
                        code, weight = side.codes[row, slot], side.weights[row, slot]
                        vector = vector + weight * side.embedding[k, code]
                        linear = linear + weight * side.linear[k, code]
                    fields.append(vector)
            pairs = sum(fields[a] @ fields[c] for a in range(len(fields)) for c in range(a))
            hidden = torch.cat(fields) @ torch.cat([model.user.first[k], model.item.first[k]]) + model.biases[0][k, 0]
            for weight, bias in zip(model.weights, model.biases[1:], strict=True):
                hidden = hidden.relu() @ weight[k] + bias[k, 0]
            assert torch.isclose(mean[k, b], linear[0] + pairs + hidden[0], atol=1e-5)
            assert torch.isclose(log_variance[k, b], (linear[1] + hidden[1]).clamp(-5, 3), atol=1e-5)


@pytest.mark.parametrize("cells", [1, 6, 1000])
def test_table_equals_forward(monkeypatch, cells):
    monkeypatch.setattr(deepfm, "CELLS", cells)
    model = small_model()
    users, items = torch.arange(3), torch.arange(3)
    mean, log_variance = model.over(items)(users)
    grid = torch.cartesian_prod(users, items).T
    flat_mean, flat_log_variance = model(grid[0].expand(3, -1), grid[1].expand(3, -1))
    torch.testing.assert_close(mean.flatten(1), flat_mean)
    torch.testing.assert_close(log_variance.flatten(1), flat_log_variance)


def test_a_new_model_predicts_the_log_mean_and_variance_but_for_the_fm_part():
    config = WorldModelConfig(members=2, initial_scale=0.0)
    model = DeepFM(encode(3, ()), encode(4, ()), config, torch.Generator().manual_seed(0))
    mean, log_variance = model.over(torch.arange(4))(torch.arange(3))
    assert mean.abs().max() == 0
    assert log_variance.abs().max() == 0


def test_members_start_from_their_own_weights():
    model = DeepFM(encode(3, ()), encode(4, ()), WorldModelConfig(), torch.Generator().manual_seed(0))
    weights = model.user.embedding
    assert not any(torch.equal(weights[0], weights[k]) for k in range(1, 5))


def test_dropout_only_with_a_generator():
    model = small_model(dropout=0.5)
    rows = torch.zeros(3, 8, dtype=torch.int64)
    assert torch.equal(model(rows, rows)[0], model(rows, rows)[0])
    dropped = model(rows, rows, torch.Generator().manual_seed(0))[0]
    assert dropped[0].unique().numel() > 1
