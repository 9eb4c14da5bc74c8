"""Users who leave: what pricing it is worth to new users, and whether a rule that the log taught is as good.

    OMP_NUM_THREADS=1 python -m benchmarks.leaving --out leaving-synthetic.json
    DARLR_DATA=<folder that holds coat/> python -m benchmarks.leaving --data coat --out leaving-coat.json
    OMP_NUM_THREADS=1 python -m benchmarks.leaving --data tired --out leaving-tired.json
    OMP_NUM_THREADS=1 python -m benchmarks.leaving --known --out leaving-known.json

Each fold hides a fifth of the users, and has its own seed of the split, the world model and the agents, so that five
folds hide every user once. The hidden users play with an empty history, and leave by RULES, which were fixed before any
run. On the built-in world they feel the true reward with the noise of the log, to whose rewards the log's users react,
and, in rows "no noise", the true reward itself, as in all other tables. On Coat each user is shown the items that were
drawn for the user at random, and feels the user's own ratings of them. DARLR+ is played as it serves new users, which
no training changes. In rows "learned" it knows no rule but the hazard that is fitted to the log's sessions; the log of
the built-in world follows the same rule, and Coat's has no times.

`tired` is the built-in world in which rewards fall and users leave as categories repeat (TIRED), with few and with many
categories. DARLR+ knows what the log taught of both. Other rows know the world's own rule and fatigue: the index, and
rollouts, which play each session to its end in thought. With --known all users are in the log, and DARLR+ is played as
its training starts, for five seeds. --out FILE keeps the returns of each fold, and
--picture FILE draws the first rule.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.rollouts import Rollouts
from darlr.agents.sink import Memory
from darlr.data.sets.synthetic import generate
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.bars import Bar, plot_bars
from darlr.evaluation.statistics import compare, interval, resampled, shared_samples
from darlr.evaluation.truth import Truth, load_truth
from darlr.experiments.finished import FinishedRun
from darlr.experiments.logs import divided, new_part
from darlr.experiments.new_users import served_to_new
from darlr.experiments.progress import speaking
from darlr.experiments.training import prepare, train_agents
from darlr.experiments.world import fit_model, world_of
from darlr.methods import usual
from darlr.options import RunConfig, SessionConfig
from darlr.options.names import override
from darlr.policies.index import Index, fit_index
from darlr.policies.new_users import for_new_users as anonymous
from darlr.simulation import environment
from darlr.simulation.environment import Environment
from darlr.simulation.exits import build_exit
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.policy import Policy, knowing, translated
from darlr.simulation.session import Session
from darlr.world.estimates import estimate_of

FOLDS = 5
RULES = {  # leave after a reward below this, the k-th of the session, with this probability
    "below 2": (2.0, 1, 1.0),
    "below 2, third": (2.0, 3, 1.0),
    "below 2, chance 0.3": (2.0, 1, 0.3),
    "below 3, second": (3.0, 2, 1.0),
}
TURNS = {"synthetic": 30, "coat": 10, "tired": 30}  # on Coat a session shows 10 of the user's 16 random items
TIRED = {"fatigue": 0.3, "tiring": 0.3, "recovery": 0.7}
TITLES = {"synthetic": "Users who leave", "coat": "Users who leave, Coat", "tired": "New users who tire and leave"}
CATEGORIES = {"8 categories": 8, "40 categories": 40}


class Shown(NamedTuple):
    """The items of a turn and their rewards, [B] each."""

    action: Tensor
    feedback: Tensor


@dataclass(frozen=True)
class Player:
    """A greedy policy. rows: the true rewards, [B, I]. offered: bool [B, I], the items that each user can be shown.

    fatigue: of the truth. bounds: of the rewards.
    """

    policy: Policy
    rows: Tensor
    offered: Tensor
    fatigue: Fatigue | None = None
    bounds: tuple[float, float] = (1.0, 5.0)

    def move(self, session: Session, chance: Tensor) -> Shown:
        """Show the best offered item that was not shown before. chance: the noise of the rewards, [B]."""
        scores = self.policy.scores(session).masked_fill(session.seen | ~self.offered, -torch.inf)
        action = scores.max(1).indices
        reward = self.rows.gather(1, action[:, None]).squeeze(1)
        reward = reward if self.fatigue is None else self.fatigue.felt(session, action, reward)
        return Shown(action, (reward + chance).clamp(*self.bounds))


def options(fold: int, data: str, world: Mapping[str, float] = MappingProxyType({})) -> RunConfig:
    """The options of one fold. world: other options of the built-in world."""
    found: dict[str, Any] = {
        "data": "coat" if data == "coat" else "synthetic",
        "split.hidden": 1 / FOLDS,
        "seed": fold,
        "epochs": 0,
    }
    found |= {"split.fold": fold, "split.seed": fold, "model.seed": fold, "model.kind": "bayesian", "model.members": 1}
    found |= {"session.turns": TURNS[data]} | {f"synthetic.{name}": value for name, value in world.items()}
    return override(usual("darlr+"), found)


def tastes(truth: Truth) -> tuple[Tensor, Tensor]:
    """The rewards that users feel, [B, I], and which items each can be shown; rows are in the order of user codes."""
    order = torch.from_numpy(truth.users).argsort()
    if truth.random is None:
        rows = estimate_of(truth.reward).whole()[order]
        return rows, torch.ones_like(rows, dtype=torch.bool)
    rows = torch.full((len(order), truth.random.columns), -torch.inf)
    rows.view(-1)[truth.random.cell] = truth.random.reward
    rows = rows[order]
    return rows.nan_to_num(neginf=0.0), rows > -torch.inf


def play_known(seed: int) -> dict[str, list[float]]:
    """The return of each user of the log by each row, under each rule, on the built-in world."""
    run = fitted(override(options(seed, "synthetic", {"boredom": 0.0}), {"split.hidden": 0.0, "split.fold": 0}))
    logs, turns = run.logs, run.config.train.session.turns
    truth = load_truth("synthetic", options=run.config.synthetic)
    assert truth is not None
    rows, offered = tastes(truth)
    index, found = fit_index(logs.context(None, turns), seed), {}
    noise = run.config.synthetic.noise * torch.randn((turns, len(rows)), generator=torch.Generator().manual_seed(seed))
    for name, (threshold, patience, chance) in RULES.items():
        session = SessionConfig("felt", threshold=threshold, patience=patience, chance=chance, turns=turns)
        rule = build_exit(session, logs.catalogue)
        known, rules = (
            served(run, session),
            Environment(rule, turns, rows.shape[1], repeats=False, offered=rows.shape[1]),
        )
        blind = replace(known, world=replace(known.world, dynamics=None))
        policies = {"Bayes greedy": index, "index": index.knowing(rule, turns)}
        policies |= {"DARLR+": known.start, "DARLR+, no price": blind.start}
        for title, policy in policies.items():
            player = Player(policy, rows, offered)
            over, _ = environment.play(rules, player, torch.arange(len(rows)), partial(of_turn, noise))
            found[f"{name}|{title}"] = over.rewards.double().sum(1).tolist()
    return found


def play_tired(fold: int) -> dict[str, list[float]]:
    """The return of each new user of one fold by each row, in the worlds in which users tire."""
    found = {}
    for name, categories in CATEGORIES.items():
        run = fitted(options(fold, "tired", {**TIRED, "categories": categories, "boredom": 0.0}))
        logs, world = run.logs, run.config.synthetic
        truth = load_truth("synthetic", options=world)
        assert truth is not None
        new = new_part(truth, logs)
        rows, offered = tastes(new)
        rule = build_exit(SessionConfig("tired", threshold=world.tiring, recovery=world.recovery), logs.catalogue)
        blind = anonymous(fit_index(logs.context(None, TURNS["tired"]), fold), len(rows))
        assert isinstance(blind, Index)
        taught = served(run, SessionConfig("learned", fatigue="learned"))
        leaving = served(run, SessionConfig("learned"))
        index = replace(blind, fatigue=new.fatigue).knowing(rule, TURNS["tired"])
        policies = {
            "Bayes greedy": blind,
            "index": index,
            "rollouts": Rollouts(index),
            "DARLR+, learned": served_to_new(taught, run.recommender),
            "DARLR+, learned leaving alone": served_to_new(leaving, run.recommender),
        }
        noise = world.noise * torch.randn((TURNS["tired"], len(rows)), generator=torch.Generator().manual_seed(fold))
        rules = Environment(rule, TURNS["tired"], rows.shape[1], repeats=False, offered=rows.shape[1])
        for title, policy in policies.items():
            player = Player(policy, rows, offered, new.fatigue)
            over, _ = environment.play(rules, player, torch.arange(len(rows)), partial(of_turn, noise))
            found[f"{name}|{title}"] = over.rewards.double().sum(1).tolist()
    return found


def fitted(config: RunConfig) -> FinishedRun:
    """The run of these options, with its world model, and without training."""
    prepared = prepare(config)
    return train_agents(prepared, fit_model(prepared.logs, prepared.config.world_model), Memory())


def play(fold: int, data: str) -> dict[str, list[float]]:
    """The return of each new user of one fold by each row, under each rule."""
    run = fitted(options(fold, data, {} if data == "coat" else {"boredom": 0.0}))
    logs, unit, turns = run.logs, run.logs.unit, run.config.train.session.turns
    truth = load_truth(data, options=run.config.synthetic)
    assert truth is not None
    rows, offered = tastes(new_part(truth, logs))
    index = anonymous(fit_index(logs.context(None, turns), fold), len(rows))
    found, noises = {}, {"": 0.0} if data == "coat" else {"": run.config.synthetic.noise, ", no noise": 0.0}
    for name, (threshold, patience, chance) in RULES.items():
        session = SessionConfig("felt", threshold=threshold, patience=patience, chance=chance, turns=turns)
        rule = build_exit(session, logs.catalogue)
        known = served(run, session)
        policies = {"Bayes greedy": translated(index, unit), "index": knowing(translated(index, unit), rule, turns)}
        policies["DARLR+"] = served_to_new(known, run.recommender)
        if data == "synthetic":
            visits = replace(run.config.synthetic, leave=threshold, leave_patience=patience, leave_chance=chance)
            log = divided(generate(visits).log, replace(run.config, synthetic=visits))
            assert np.array_equal(log.catalogue.reward, logs.catalogue.reward)  # only the times differ
            taught = served(replace(run, logs=log), replace(session, exit="learned"))
            policies["DARLR+, learned"] = served_to_new(taught, run.recommender)
        rules = Environment(rule, turns, rows.shape[1], repeats=False, offered=int(offered.sum(1).min()))
        users, drawn = (
            torch.arange(len(rows)),
            torch.randn((turns, len(rows)), generator=torch.Generator().manual_seed(fold)),
        )
        for felt, noise in noises.items():
            for title, policy in policies.items():
                player = Player(policy, rows, offered)
                over, _ = environment.play(rules, player, users, partial(of_turn, noise * drawn))
                found[f"{name}{felt}|{title}"] = over.rewards.double().sum(1).tolist()
    return found


def of_turn(noise: Tensor, turn: int, session: Session) -> Tensor:
    """The noise of the rewards of a turn, [B]."""
    return noise[turn]


def served(run: FinishedRun, session: SessionConfig) -> FinishedRun:
    """The run as if its users left by this rule."""
    train = replace(run.config.train, session=session)
    world = world_of(run.fitted, run.logs, train)
    return replace(run, config=replace(run.config, train=train), world=world)


def main() -> None:
    """Print the returns under each rule, and their paired differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", choices=TURNS)
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--out", type=Path, default=Path("leaving.json"))
    asked = parser.parse_args()
    done = json.loads(asked.out.read_text("utf-8")) if asked.out.exists() else []
    for fold in range(len(done), FOLDS):
        with speaking(False), torch.inference_mode():
            if asked.known:
                done.append(play_known(fold))
            else:
                done.append(play_tired(fold) if asked.data == "tired" else play(fold, asked.data))
        asked.out.write_text(json.dumps(done), "utf-8")
    rows: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for key in done[0]:
        rule, title = key.split("|")
        values = [np.array(one[key]) for one in done]
        rows[rule][title] = np.stack(values) if asked.known else np.concatenate(values)[None]
    print("| rule | row | R_tra [95%] | minus Bayes greedy | minus the index | minus rollouts |")
    print("|---|---|---:|---:|---:|---:|")
    for rule, table in rows.items():
        for title, values in table.items():
            low, high = interval(resampled(values, shared_samples(values.shape)))
            cells = []
            for other in ("Bayes greedy", "index", "rollouts"):
                one = compare(values, table[other]) if other in table and other != title else None
                cells.append("–" if one is None else f"{one.difference:+.2f} [{one.low:+.2f}, {one.high:+.2f}]")
            print(f"| {rule} | {title} | {values.mean():.2f} [{low:.2f}, {high:.2f}] | {' | '.join(cells)} |")
    if asked.picture is not None:
        rule, table = next(iter(rows.items()))
        canvas.save(plot_bars([bar(*one) for one in table.items()], f"{TITLES[asked.data]}: {rule}"), asked.picture)


def bar(title: str, values: np.ndarray) -> Bar:
    """The bar of a row with its interval; the index and rollouts know the rule."""
    low, high = interval(resampled(values, shared_samples(values.shape)))
    kind = "learned" if title.startswith("DARLR") else "log" if title == "Bayes greedy" else "truth"
    return Bar(title, float(values.mean()), low, high, kind, f"{values.mean():.1f}")


if __name__ == "__main__":
    main()
