"""Which events the measures of users' next items are tested on."""

from dataclasses import replace

import numpy as np

from darlr.data.sets.synthetic import generate
from darlr.data.split import reserve, select
from darlr.data.unit import as_learned, unit_of
from darlr.experiments import unseen
from darlr.experiments.logs import Logs
from darlr.options import SyntheticConfig

LOG = generate(SyntheticConfig(users=40, items=16, categories=4, events_per_user=12)).log


def unseen_of(log, training, kept):
    learned = as_learned(training, unit_of(log))
    return unseen._tested(
        kept, Logs(learned, learned, select(learned, np.zeros(len(training), bool)), "", True, training)
    )


def test_a_split_by_time_is_tested_on_all_its_events():
    log = replace(LOG, timestamp=np.arange(len(LOG)))
    late = log.timestamp >= 0.7 * len(log)
    found, message = unseen_of(log, select(log, ~late), select(log, late))
    assert "later than all of the user's training events" in message
    cell = log.user * log.n_items + log.item
    assert len(found.user) == len(np.setdiff1d(cell[late], cell[~late]))


def test_of_events_kept_at_random_the_last_ones_count():
    draw = np.random.default_rng(0)
    log = replace(LOG, timestamp=draw.permutation(len(LOG)))
    training, kept = reserve(log, 0.9)
    found, message = unseen_of(log, training, kept)
    newest: dict[int, int] = {}
    for user, time in zip(training.user.tolist(), training.timestamp.tolist(), strict=True):
        newest[user] = max(time, newest.get(user, -1))
    late = [time > newest.get(user, -1) for user, time in zip(kept.user.tolist(), kept.timestamp.tolist(), strict=True)]
    assert 0 < sum(late) < len(kept)
    assert len(found.user) == len(np.unique((kept.user * 16 + kept.item)[late]))
    assert "later than all of the user's training events" in message


def test_without_times_or_with_few_last_events_all_count(monkeypatch):
    log = replace(LOG, timestamp=None)
    training, kept = reserve(log, 0.5)
    found, message = unseen_of(log, training, kept)
    assert len(found.user) == len(np.unique(kept.user * 16 + kept.item))
    assert "drawn at random from each user's events: " in message
    monkeypatch.setattr(unseen, "FEW", 1000)
    log = replace(LOG, timestamp=np.random.default_rng(0).permutation(len(LOG)))
    found, message = unseen_of(log, *reserve(log, 0.5))
    assert "as fewer than 1000 users have one that is later" in message
