"""What a run says about leaving before it trains, and what it keeps."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from darlr.data.sessions import doubt, sessions_of
from darlr.data.sets.synthetic import generate
from darlr.experiments.leaving import FILE, leaving_notes, write_leaving
from darlr.options import SessionConfig, SyntheticConfig
from tests.world.tiny import log_of


def noted(rewards, **more):
    log = log_of([0, 0, 1, 1], [0, 1, 0, 1], rewards, 2, 2, reward_range=(0.0, 5.0))
    return leaving_notes(SessionConfig(exit="felt", **more), SimpleNamespace(recorded=log))


def test_a_threshold_that_separates_no_rewards_is_warned_of():
    assert noted([1, 2, 3, 4], threshold=2.0) == []
    assert "no logged reward lies below session.threshold (1)" in noted([1, 1, 2, 1], threshold=1.0)[0]
    assert "all logged rewards lie below session.threshold (5)" in noted([1, 2, 3, 4], threshold=5.0, patience=2)[0]
    assert "2 items" in noted([1, 2, 3, 4], threshold=5.0, patience=2)[0]
    assert "end after the first item; choose another rule" in noted([1, 1, 1, 1], threshold=0.5)[0]
    assert leaving_notes(SessionConfig(), SimpleNamespace()) == []


def test_a_gap_that_shows_no_sessions_is_warned_of():
    log = generate(SyntheticConfig(users=40, items=30, categories=6, events_per_user=20, leave=2.5, boredom=0.0)).log
    own = sessions_of(log).gap
    for gap, what in ((1e9, "all events of a user one session"), (1e-4, "nearly each event a session of its own")):
        assert f"makes {what}; the times between events of a user suggest {own:.3g}" in doubt(log, gap)
    assert "fall into no two groups" in doubt(replace(log, timestamp=np.arange(len(log))), 1e9)
    assert doubt(log, own) == doubt(log, None) == doubt(replace(log, timestamp=None), 1e9) == ""
    logs = SimpleNamespace(catalogue=log, unit=log.unit, recorded=log)
    assert leaving_notes(SessionConfig(exit="learned", gap=1e9), logs)[0].startswith("warning: ")


def test_a_learned_hazard_is_said_and_written(tmp_path):
    config = SyntheticConfig(users=40, items=30, categories=6, events_per_user=20, leave=2.5, boredom=0.0)
    log = generate(config).log
    logs, session = SimpleNamespace(catalogue=log, unit=log.unit, recorded=log), SessionConfig(exit="learned")
    assert "sessions" in leaving_notes(session, logs)[0]
    write_leaving(tmp_path, SessionConfig(), logs)
    assert not (tmp_path / FILE).exists()
    write_leaving(tmp_path, session, logs)
    found = json.loads((tmp_path / FILE).read_text("utf-8"))
    assert found["kept"]
    assert abs(found["threshold"] - 2.5) < 0.05
    assert found["weights"]["bad 1"] > 3
