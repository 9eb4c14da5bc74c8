"""The trivial rows on the real block against reference sums computed apart from this package."""

import os

import pytest

from darlr.evaluation.evaluate import settings, sound
from darlr.evaluation.lists import trivial_rows
from darlr.evaluation.truth import load_truth
from darlr.experiments.logs import open_logs
from darlr.options import RunConfig, SessionConfig, SplitConfig, TablesConfig

AWARE = ", exit-aware"
EXPECTED = {  # row and window N; a few of the known sums, since each takes seconds
    ("popularity list", 4): 2.66,
    ("popularity list" + AWARE, 1): 12.88,
    ("logged-neighbour greedy" + AWARE, 1): 14.56,
    ("best fixed list (truth)" + AWARE, 4): 15.17,
}


def test_reference_sums():
    if "DARLR_DATA" not in os.environ or not os.path.isdir(os.path.join(os.environ["DARLR_DATA"], "kuairec_binary")):
        pytest.skip("DARLR_DATA does not name a folder with kuairec_binary/")
    logs, truth = open_logs(RunConfig(data="kuairec_binary", split=SplitConfig())), load_truth("kuairec_binary")
    assert truth.reward.shape == (1411, 3327)
    assert truth.reward.sum() == 217_175
    entries = trivial_rows([logs.source(None, TablesConfig())], truth, exits=True)
    played = {}
    for setting in settings(SessionConfig(), logs.catalogue):
        wanted = [entry for entry in entries if setting.mode == "NX_0" and (entry.name, setting.window) in EXPECTED]
        for row in sound(wanted, [setting], truth, logs.train_catalogue):
            played[row.name, row.window] = row.mean
    assert played == pytest.approx(EXPECTED, abs=0.006)
