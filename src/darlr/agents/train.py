"""The training loop: epochs of rollouts and updates, with a log line and a checkpoint after each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from darlr.agents.diagnostics import Sign, diagnose, first_time
from darlr.agents.learner import HELD_OUT, Learner, build_learner, build_simulator, derived, learn, load_state, state
from darlr.agents.observation import Decision
from darlr.agents.parallel import ALONE, Join
from darlr.agents.references import attended
from darlr.agents.rollout import Simulator
from darlr.agents.selector import pick_draws, select
from darlr.agents.sink import Criterion, Keeper, Sink
from darlr.data.log import InteractionLog
from darlr.errors import RunError
from darlr.methods.darlr import dynamic_reward, referred
from darlr.options import TrainConfig
from darlr.simulation.exits import Exit
from darlr.simulation.session import reset
from darlr.world.tables import World

Metrics = dict[str, float]
HELD_OUT_ROWS = 4096  # the largest number of held-out events for the error of the reward estimate


@dataclass(frozen=True)
class RolloutReport:
    """The progress of a run: the number of finished rollouts, of all rollouts, and the newest metrics."""

    rollout: int
    rollouts: int
    metrics: Metrics


def train(
    sink: Sink,
    world: World,
    exit_rule: Exit,
    held_out: InteractionLog,
    config: TrainConfig,
    *,
    criterion: Criterion | None = None,
    on_rollout: Callable[[RolloutReport], None] = lambda _: None,
    after_epoch: Callable[[int, Learner], Mapping[str, Any]] = lambda *_: {},
    on_epoch: Callable[[Mapping[str, Any]], None] = lambda _: None,
    on_warning: Callable[[int, Sign], None] = lambda *_: None,
    join: Join = lambda: ALONE,
) -> Learner:
    """Train until `config.epochs`, from the newest checkpoint of the sink if there is one.

    world: the tables on config.device. held_out: logged events outside the training data, for the error of the reward
    estimate. config: its session must be resolved. criterion: selects the best policy; None means the last one counts.
    after_epoch: gives further columns of the log line and must not change the learner. on_epoch: receives the log line
    of a finished epoch. on_warning: receives the epoch and a failure signature that the run shows for the first time;
    log lines hold all warnings. join: connects the workers that train together, of which this one is worker 0 and the
    others call `follow`. Raises RunError when training diverges, and MachineError when another worker is lost.
    """
    learner = build_learner(world, config)
    simulator = build_simulator(world, learner.tables, exit_rule, config)
    done = 0
    if found := sink.load_checkpoint():
        load_state(learner, found[0])
        done = int(found[1]["epoch"])
    keeper = None if criterion is None else Keeper(sink, criterion, learner.recommender, done, config.epochs)
    rows = sink.rows.copy()
    if config.epochs == done == 0:
        sink.save_checkpoint(state(learner), {"epoch": 0})  # the untrained policy
    learner.team, rollouts = join(), rollouts_of(config)
    if learner.team.size > 1:
        learner.team.shared(state(learner) | {"done": torch.tensor(done)})
    for epoch in range(done + 1, config.epochs + 1):
        sums: Metrics = {}
        for number in range(1, rollouts + 1):
            metrics = {name: float(value) for name, value in learn(learner, simulator, config.sessions).items()}
            sums = {name: sums.get(name, 0.0) + value for name, value in metrics.items()}
            on_rollout(RolloutReport((epoch - 1) * rollouts + number, config.epochs * rollouts, metrics))
        means = {name: value / rollouts for name, value in sums.items()}
        refuse_divergence(epoch, means)
        steps = epoch * rollouts * config.sessions * config.session.turns
        row: dict[str, Any] = {"epoch": epoch, "steps": steps, **means}
        row |= held_out_error(learner, simulator, held_out, derived(config.seed, HELD_OUT, epoch))
        row |= {} if keeper is None else keeper.see(epoch, learner.recommender)
        row |= after_epoch(epoch, learner)
        signs = diagnose([*rows, row], config.diagnostics, world.reward_range)
        for sign in first_time(signs, rows):
            on_warning(epoch, sign)
        if signs:
            row["warnings"] = [asdict(sign) for sign in signs]
        rows.append(row)
        sink.log(row)
        sink.save_checkpoint(state(learner), {"epoch": epoch})
        on_epoch(row)
    return learner


def follow(world: World, exit_rule: Exit, config: TrainConfig, join: Join) -> None:
    """Train as a worker other than worker 0, which calls `train`: the same updates, and nothing else.

    Others: as in `train`. Raises MachineError when another worker is lost.
    """
    learner = build_learner(world, config)
    simulator = build_simulator(world, learner.tables, exit_rule, config)
    learner.team = join()
    start = learner.team.shared(None)
    load_state(learner, start)
    for _ in range((config.epochs - int(start["done"])) * rollouts_of(config)):
        learn(learner, simulator, config.sessions)


def rollouts_of(config: TrainConfig) -> int:
    """The number of rollouts in an epoch."""
    return math.ceil(config.steps / (config.sessions * config.session.turns))


def refuse_divergence(epoch: int, metrics: Metrics) -> None:
    """Raise RunError when a metric is not finite."""
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise RunError(
            f"training diverged in epoch {epoch} ({', '.join(broken)} not finite); "
            "lower recommender.a2c.learning-rate or selector.a2c.learning-rate"
        )


@torch.no_grad()
def held_out_error(learner: Learner, simulator: Simulator, held_out: InteractionLog, seed: int) -> Metrics:
    """Mean absolute error of r0 and of the dynamic reward on held-out events, in the log's unit.

    It takes at most HELD_OUT_ROWS events, evenly spread over the log. seed: of the selector's picks.
    """
    if len(held_out) == 0:
        return {}
    device = learner.tables.frozen.device
    count = min(len(held_out), HELD_OUT_ROWS)
    rows = torch.arange(count) * len(held_out) // count
    columns = (held_out.user, held_out.item, held_out.reward)
    user, item, target = (torch.from_numpy(column)[rows].to(device) for column in columns)
    scale = held_out.unit.scale
    errors = {"held_out_frozen": float((learner.tables.frozen.pairs(user, item) - target).abs().mean()) * scale}
    if learner.selector is not None or simulator.references is not None or simulator.attends:
        generator = torch.Generator(device).manual_seed(seed)
        estimate = dynamic_estimate(learner, simulator, user, item, generator)
        errors["held_out_dynamic"] = float((estimate - target).abs().mean()) * scale
    return errors


@torch.no_grad()
def dynamic_estimate(
    learner: Learner, simulator: Simulator, user: Tensor, item: Tensor, generator: torch.Generator
) -> Tensor:
    """Eq. 15 for int64 [N] users and items, with references picked at the start of a session, float32 [N].

    Raises ValueError for a method without references.
    """
    start, world = learner.tables.start, simulator.world
    if simulator.references is not None:
        return dynamic_reward(start, simulator.references(user, generator).users, item)
    if learner.selector is None and not simulator.attends:
        raise ValueError("this method has no references")
    estimates = []
    for part in torch.arange(len(user), device=user.device).tensor_split(math.ceil(len(user) / HELD_OUT_ROWS)):
        users, items = user[part], item[part]
        session = reset(users, world.n_items, 1)
        if learner.selector is None:
            estimates.append(referred(start, attended(world, simulator.picks, session, items), users, items))
            continue
        decision: Decision = learner.recommender(learner.recommender.observe(session))
        uniform = pick_draws(learner.selector, len(users), generator, user.device)
        references, _ = select(learner.selector, world, start, decision.state, users, items, uniform)
        estimates.append(dynamic_reward(start, references.users, items))
    return torch.cat(estimates)
