"""A recommender that learns from a log: `Recommender` and `load`."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self
from warnings import warn

import polars as pl

from darlr.api.explain import Explanation, explainer
from darlr.data.log import InteractionLog
from darlr.decisions.records import Sink
from darlr.errors import ConfigError, DarlrWarning, RunError
from darlr.experiments.finished import FinishedRun, open_run, save_run
from darlr.experiments.gate import Gate
from darlr.experiments.in_memory import RunInMemory
from darlr.experiments.plan import IN_MEMORY, without_effect
from darlr.experiments.process import computing
from darlr.experiments.progress import speaking
from darlr.experiments.runs import CHECKPOINT
from darlr.experiments.training import train_run
from darlr.methods import usual
from darlr.options import RunConfig, StrategyConfig
from darlr.options.names import flat, override
from darlr.options.serving import Name
from darlr.serving.folder import read_policy
from darlr.serving.given import Pairs
from darlr.serving.ids import Id
from darlr.serving.policy import TrainedPolicy
from darlr.serving.served import Items, User
from darlr.world.given import WorldModel

Callback = Callable[[Mapping[str, Any]], None]
BEFORE = "interrupted before the first epoch was complete; continue with fit(..., resume=True)"


class Recommender:
    """A policy that learns long-term reward from a log alone.

    Every option of `darlr train` is a keyword: `epochs=5`, `selector={"picks": 30}` or `selector__picks=30`,
    `model={"members": 3}`. `darlr train --help` and `darlr.options` list them. `world` also takes a factor model of
    another library, a `darlr.WorldModel`.

    Examples:
        >>> model = Recommender("darlr+", seed=0).fit(train, epochs=5)
        >>> model.recommend(["u1", "u2"], n=10)
    """

    def __init__(self, method: str = "darlr", *, seed: int = 0, **options: Any) -> None:
        """Raises ConfigError for an unknown option, with a hint, and for a value that the option does not take.

        method: the name of the method, which decides the reward to learn from. seed: of the initial weights and of
        every draw of training.
        """
        if not isinstance(method, str):
            raise ConfigError(f"option method: must be the name of a method, not {method!r}")
        factors = options.pop("world") if isinstance(options.get("world"), WorldModel) else None
        given = flat({**options, "seed": seed})
        if "data" in given:
            raise ConfigError(f"option data: pass the data set to fit, as in fit({given['data']!r})")
        self._begin(override(usual(method), given), factors)

    def _begin(self, asked: RunConfig, factors: WorldModel | None = None) -> None:
        self.asked, self._factors = asked, factors
        self._memory = RunInMemory()
        self._source: InteractionLog | None = None
        self._held: InteractionLog | None = None  # events for the gate of `darlr.update`
        self.gate: Gate | None = None  # and what it found
        self._run: FinishedRun | None = None
        self._policy: TrainedPolicy | None = None

    def fit(
        self,
        log: InteractionLog | str | Path,
        *,
        epochs: int | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        watch: bool = False,
        progress: bool = True,
        callbacks: Callback | Iterable[Callback] = (),
    ) -> Self:
        """Fit the world model, train the agents, and keep the best policy. Returns the recommender itself.

        log: from `darlr.read_events`, or the name or the folder of a data set. epochs: replaces the option. folder: the
        run folder to write, as `darlr train --out` does; without it nothing is written. resume: continue the run in the
        folder, or the interrupted fit in memory, to the same numbers. watch: after each epoch play sessions on the
        ground truth, where there is one, for the learning curve only. progress: show the progress. callbacks: one
        function or several, called after each epoch with a mapping of `epoch`, `steps`, `reward` and other metrics.

        Fitting in memory, fitting into a folder, and resuming give the same bits. After KeyboardInterrupt, which a
        callback may raise, or an error of a callback, the recommender keeps what it has learned. Raises DataError for a
        log that cannot be learned from, ConfigError for options that do not suit it, RunError for an unusable folder.
        """
        asked = self.asked if epochs is None else override(self.asked, flat({"epochs": epochs}))
        source = log if isinstance(log, InteractionLog) else None
        if source is not None:
            kept = asked.split.evaluation or 0.0
            asked = replace(asked, data=IN_MEMORY, split=replace(asked.split, evaluation=kept))
        elif isinstance(log, str | Path):
            asked = replace(asked, data=str(log))
        else:
            raise ConfigError(
                f"option log: must be a log, such as darlr.read_events(...) returns, or the name of a data set, not "
                f"{type(log).__name__}"
            )
        for sentence in [] if resume else without_effect(asked, mark="option "):
            warn(sentence, DarlrWarning, stacklevel=2)
        called = (callbacks,) if callable(callbacks) else tuple(callbacks)
        whole: list[int] = []  # the complete epochs of this call

        def on_epoch(row: Mapping[str, Any]) -> None:
            whole.append(row["epoch"])
            for callback in called:
                callback(row)

        with computing(asked.train.threads), speaking(progress):
            if folder is not None:
                out = Path(folder)

                def learned(interrupted: bool) -> FinishedRun | None:
                    older = interrupted and resume and (out / CHECKPOINT).exists()  # an error may refuse the folder
                    return open_run(out) if whole or older else None

                with self._keeping(learned, asked.train.epochs):
                    begin = partial(train_run, asked, out, source=source, factors=self._factors)
                    self._hand_over(begin(resume=resume, watch=watch, on_epoch=on_epoch))
            else:
                planned = self._memory.start(asked, source, self._factors, resume=resume)
                self._source = self._memory.source
                with self._keeping(lambda _: self._memory.so_far(), planned, BEFORE):
                    self._hand_over(self._memory.train(watch=watch, on_epoch=on_epoch))
        return self

    @contextlib.contextmanager
    def _keeping(
        self, learned: Callable[[bool], FinishedRun | None], epochs: int, before: str | None = None
    ) -> Iterator[None]:
        """Keep what was learned where training is interrupted or fails.

        learned: returns the run so far, or None before the first complete epoch; called with whether training was
        interrupted. epochs: the number that was planned. before: the message of an interruption before the first.
        """
        try:
            yield
        except (Exception, KeyboardInterrupt) as stop:
            interrupted = isinstance(stop, KeyboardInterrupt)
            run = learned(interrupted)
            if run is not None:
                self._hand_over(run)
            message = before if run is None else _stopped(run, epochs)
            if interrupted and message is not None:
                raise KeyboardInterrupt(message) from None
            raise

    def _hand_over(self, run: FinishedRun) -> None:
        self._run, self._policy = run, None

    @property
    def run(self) -> FinishedRun:
        """The finished run of the recommender; RunError before `fit`."""
        if self._run is None:
            raise RunError("the recommender has not learned yet; call fit(log) first")
        return self._run

    @property
    def policy(self) -> TrainedPolicy:
        """The policy alone, which needs neither the log nor the world model; RunError before `fit`."""
        if self._policy is None:
            with tempfile.TemporaryDirectory() as folder:
                self.run.export(Path(folder, "policy"))
                self._policy = read_policy(Path(folder, "policy"))
        return self._policy

    def recommend(
        self,
        users: User | Iterable[User],
        n: int = 10,
        *,
        history: Pairs | Mapping[User, Pairs] | None = None,
        exclude: Items | Mapping[User, Items] | None = None,
        only: Items | Mapping[User, Items] | None = None,
        new_items: bool = False,
        strategy: Name = StrategyConfig.strategy,
        epsilon: float = StrategyConfig.epsilon,
        request_id: str | Sequence[str] | None = None,
        log: Sink | None = None,
        arm: str = "default",
    ) -> pl.DataFrame:
        """Up to n next items of each user: a frame of user, rank, item, score, propensity and known.

        users: one id, several, or `darlr.NEW` for a cold-start user. history: the session so far, (item, reward) pairs,
        oldest first, or by user. exclude, only: items that must not be recommended, and the only ones that may, for all
        or by user. new_items: leave out what the user has logged. strategy: how items are chosen. request_id: makes
        draws repeatable. log, arm: a `darlr.DecisionLog`, and this model's name in it. See `TrainedPolicy.recommend`.
        """
        more: dict[str, Any] = {"history": history, "exclude": exclude, "only": only, "new_items": new_items}
        more |= {"strategy": strategy, "epsilon": epsilon, "request_id": request_id}
        return self.policy.recommend(users, n, **more, log=log, arm=arm)

    def explain(self, user: Id, item: Id, history: Pairs | None = None) -> Explanation:
        """Why the item is recommended to the user, or not; see `Explanation`.

        history: the session so far, (item, reward) pairs, oldest first. Raises DataError for an unknown user or item.
        """
        return explainer(self.run).explain(user, item, history)

    def save(self, folder: str | Path) -> None:
        """Write the run, with its log, into a folder that can be moved; `darlr.load` and the command line read it.

        An earlier run there is replaced once the new one is complete. Raises RunError before `fit`, and where the
        folder holds something else or cannot be written.
        """
        save_run(self.run, self._source, Path(folder))

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: everything but the policy, which is built again when it is needed."""
        return {**self.__dict__, "_policy": None}

    def __repr__(self) -> str:
        """The method and the training so far."""
        method = self.asked.train.method
        if self._run is None:
            return f"Recommender({method!r}), which has not learned yet"
        run, log = self._run, self._run.logs.whole
        return f"Recommender({method!r}) of epoch {run.epoch} of {run.epochs}, learned from {log.name}"


def _stopped(run: FinishedRun, epochs: int) -> str:
    """The message of an interrupted fit that left a run. epochs: the number that was planned."""
    where = "" if run.folder is None else f"folder={str(run.folder)!r}, "
    return (
        f"interrupted after epoch {run.epochs} of {epochs}; the recommender keeps what was learned; continue with "
        f"fit(..., {where}resume=True)"
    )


def load(folder: str | Path) -> Recommender:
    """The recommender that `save`, `fit(folder=...)` or `darlr train` wrote into a folder.

    Raises RunError where there is none, it is damaged, or its data set has changed since.
    """
    run = open_run(Path(folder))
    model = Recommender.__new__(Recommender)
    model._begin(run.config)
    model._hand_over(run)
    return model
