"""The truth of KuaiRec: the small matrix, in the unit of the log's rewards."""

import numpy as np
import pytest

from darlr.errors import DataError
from darlr.evaluation.truth import load_truth
from darlr.options import KuaiRecConfig
from tests.kuairec_raw import HEADER, big, write


def small(*rows):
    return HEADER + "".join(f"{user},{video},1000,5000,,,,{watch}\n" for user, video, watch in rows)


def test_cells_are_clipped_and_missing_ones_are_0(tmp_path):
    write(tmp_path / "kuairec")
    truth = load_truth("kuairec", tmp_path)
    # users 10 and 12, videos 1 and 3; user 10 on video 3 was not observed
    assert truth.reward.tolist() == [[5.0, 0.0], [0.25, 1.0]]
    assert (truth.users.tolist(), truth.items.tolist()) == ([0, 1], [0, 1])
    assert truth.notes == ("1 cells without a watch ratio count 0",)


def test_odd_cells_are_counted(tmp_path):
    cells = small((10, 1, "inf"), (10, 3, ""), (12, 1, "nan"), (12, 3, 0.5))
    write(tmp_path / "kuairec", small_matrix=cells)
    truth = load_truth("kuairec", tmp_path)
    assert truth.reward.tolist() == [[5.0, 0.0], [0.0, 0.5]]
    assert truth.notes == (
        "2 cells without a watch ratio count 0",
        "1 infinite watch ratios (a video of no duration) count 5",
    )


def test_a_normalised_truth_takes_the_scale_of_the_log(tmp_path):
    rows = [(11, video, k, k * top / 100) for video, top in ((1, 1), (3, 4)) for k in range(101)]
    cells = small((10, 1, 0.5), (10, 3, 0.5), (12, 1, 9.0), (12, 3, 0.0))
    write(tmp_path / "kuairec", big_matrix=big(*rows), small_matrix=cells)
    truth = load_truth("kuairec", tmp_path, options=KuaiRecConfig(reward="normalised"))
    np.testing.assert_allclose(truth.reward, [[0.48 / 0.96, 0.42 / 3.84], [1, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (small((10, 1, 0.5), (12, 1, 0.5), (10, 1, 0.6)), "row 4, column 'video_id': user 10 and video 1 occur before"),
        (small((10, 1, 0.5), (12, 1, -0.5)), "row 3, column 'watch_ratio': -0.5 is negative"),
        (small((10, 1, "much")), "row 2, column 'watch_ratio': 'much' is not a number"),
        (small((10, 7, 0.5)), "row 2, column 'video_id': 7 is not in item_categories.csv"),
    ],
)
def test_a_bad_cell_is_named(tmp_path, cells, message):
    write(tmp_path / "kuairec", small_matrix=cells)
    with pytest.raises(DataError) as error:
        load_truth("kuairec", tmp_path)
    assert "small_matrix.csv" in str(error.value)
    assert message in str(error.value)
