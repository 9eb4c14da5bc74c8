"""What answers of a session say of a user of the log: four beliefs, compared on the log alone.

    OMP_NUM_THREADS=1 python -m benchmarks.known_users --out known.json
    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.known_users --data coat --out known.json

Each seed keeps half of the items of each user from everything that learns. Of a user's kept events five are predicted,
and 0, 1, 3, 5 or 9 of the others are answers. The beliefs:

- features: r_0, moved along item features whose spread the log has chosen, as DARLR+ did before
- given the log: r_0, moved by the covariance that the posterior has given the user's logged items, as DARLR+ does
- posterior: mean and covariance given the user's logged events, without r_0
- half: the mean of the two last rows

"Within a user" is the variance of a user's errors, which a wrong level does not change, as it changes no ranking. The
log likelihood has P_U, widened as prices have it, or the variance of the posterior given log and answers. The last row
is what greedy use earns in worlds drawn from the posterior that training does not play, where nobody leaves. No truth
is read. Differences are to "features", paired by user and seed, with 95% intervals.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.leaving import options
from darlr.agents.recommender import preference
from darlr.data.histories import last_events
from darlr.data.scope import within_scope
from darlr.evaluation.protocol import play
from darlr.evaluation.statistics import compare
from darlr.experiments.process import configure
from darlr.experiments.progress import speaking
from darlr.experiments.training import Prepared, prepare
from darlr.experiments.watch import drawn_games
from darlr.experiments.world import fit_model, world_of
from darlr.options.names import override
from darlr.policies.bayes import LOGGED
from darlr.simulation.exits import never
from darlr.simulation.session import Session
from darlr.world.answers import between, cells_of
from darlr.world.belief import Posterior
from darlr.world.drawn import tastes_of
from darlr.world.preferences import preference_features
from darlr.world.tables import World

ANSWERS, TARGETS = (0, 1, 3, 5, 9), 5
ROWS = "features", "given the log", "posterior", "half"
Found = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Greedy:
    """Expected rewards of users of the log. features: of preferences. items, rewards: the last events of each user."""

    name: str
    world: World
    features: Tensor
    items: Tensor
    rewards: Tensor

    def rows(self, user: Tensor, items: Tensor, rewards: Tensor) -> Tensor:
        """The expected rewards given answers, [B, I]."""
        if self.name == "half":
            both = (replace(self, name=name).rows(user, items, rewards) for name in ROWS[1:3])
            return torch.stack(list(both)).mean(0)
        if self.name == "posterior":
            found = self.posterior(user, items, rewards)
            return found.rows(found.theta())
        start, known = self.world.reward.rows(user), self.world.certainty
        surprise = rewards - start.gather(1, items.clamp(min=0))
        if self.name == "features":
            return start + preference(self.features, 1.0, items, surprise, items >= 0) @ self.features.T
        assert known is not None
        assert self.world.preference is not None
        return start + known.preference(self.world.preference, 1.0, user, items, surprise) @ self.world.preference.T

    def posterior(self, user: Tensor, items: Tensor, rewards: Tensor) -> Posterior:
        """That of the users' logged events and answers."""
        assert self.world.belief is not None
        told = (torch.cat([own[user], new], 1) for own, new in ((self.items, items), (self.rewards, rewards)))
        return self.world.belief.given(*told)

    def scores(self, session: Session) -> Tensor:
        """See `darlr.simulation.policy.Policy`."""
        return self.rows(session.user, session.items, session.rewards)


def one(data: str, kind: str, members: int, seed: int) -> Found:
    """By the belief: errors and log likelihoods of users after each number of answers, and returns in drawn worlds."""
    asked = {"split.hidden": 0.0, "split.fold": 0, "split.evaluation": 0.5, "split.draw": seed}
    world_model = {"model.kind": kind, "model.members": members}
    plain = {"boredom": 0.0} if data == "synthetic" else {}
    prepared = prepare(override(options(seed, data, plain), asked | world_model))
    logs, config = prepared.logs, prepared.config.train
    fitted = fit_model(logs, prepared.config.world_model)
    with torch.no_grad():
        world = replace(world_of(fitted, logs, config), tastes=tastes_of(fitted, logs.fitted))
        features, _ = preference_features(logs.context(world, config.session.turns))
        about = world, features, *last_events(within_scope(logs.fitted, logs.scope), LOGGED)
        beliefs = [Greedy(name, *about) for name in ROWS]
        found = predicted(beliefs, prepared, fitted.answers.known, seed)
        users = torch.arange(world.n_users)
        rules: dict[str, Any] = {"mode": "NX_0", "turns": config.session.turns}
        for belief in beliefs:
            games = drawn_games(world, users, torch.Generator().manual_seed(seed))
            returns = [paid(play(belief, told, world.n_items, never, users=users, **rules)) for told, paid in games]
            found[belief.name]["in drawn worlds"] = torch.cat(returns).tolist()
    return found


def predicted(beliefs: list[Greedy], prepared: Prepared, spread: float, seed: int) -> Found:
    """The errors on kept events. spread: of the variances P_U, in which beliefs do not differ."""
    logs, found = prepared.logs, defaultdict(dict)  # type: ignore[var-annotated]
    assert logs.kept is not None
    kept = within_scope(logs.kept, logs.scope)
    order = np.random.default_rng(seed).permutation(len(kept))
    order = order[np.argsort(kept.user[order], kind="stable")]
    users, start, count = np.unique(kept.user[order], return_index=True, return_counts=True)
    reward = logs.unit.learn(torch.from_numpy(kept.reward))
    for answers in ANSWERS:
        some = count >= TARGETS + answers
        if not some.any():
            continue
        place = torch.from_numpy(order[start[some, None] + np.arange(TARGETS + answers)])
        user, item, told = torch.from_numpy(users[some]), torch.from_numpy(kept.item)[place], reward[place]
        target, ends = told[:, :TARGETS], cells_of(logs.fitted).of(told[:, :TARGETS].flatten())
        asked, given = item[:, :TARGETS], (user, item[:, TARGETS:], told[:, TARGETS:])
        variances = {
            "P_U": spread * beliefs[0].world.risk.rows(user),
            "posterior": beliefs[0].posterior(*given).variance(),
        }
        for belief in beliefs:
            mean = belief.rows(*given).gather(1, asked)
            error = mean - target
            parts = {"squared error": error.square().mean(1), "within a user": error.var(1)}
            for name, variance in variances.items():
                below, above = between(ends, mean.flatten(), variance.gather(1, asked).flatten().sqrt())
                sure = (above - below).clamp(min=1e-12).log().view(len(user), -1).mean(1)
                parts[f"log likelihood, variance {name}"] = sure
            found[belief.name] |= {f"{answers} answers, {name}": part.tolist() for name, part in parts.items()}
    return dict(found)


def main() -> None:
    """Print the means and the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", choices=("synthetic", "coat"))
    parser.add_argument("--model", default="mixed", choices=("mixed", "bayesian"))
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("known.json"))
    asked = parser.parse_args()
    configure(1)
    done: list[Found] = json.loads(asked.out.read_text("utf-8")) if asked.out.exists() else []
    for seed in range(len(done), asked.seeds):
        with speaking(False):
            done.append(one(asked.data, asked.model, asked.members, seed))
        asked.out.write_text(json.dumps(done), "utf-8")
    print(f"| measure | {' | '.join(ROWS)} |\n|---|---:|---:|---:|---:|")
    for measure in done[0][ROWS[0]]:
        cells = []
        for name in ROWS:
            own, first = ([np.array(found[row][measure]) for found in done] for row in (name, ROWS[0]))
            gain = compare(np.concatenate(own)[None], np.concatenate(first)[None])
            more = "" if name == ROWS[0] else f" ({gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}])"
            cells.append(f"{np.concatenate(own).mean():.3f}{more}")
        print(f"| {measure} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
