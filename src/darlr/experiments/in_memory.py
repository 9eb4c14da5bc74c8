"""A training run in memory, which writes nothing and can be continued."""

from dataclasses import replace

from darlr.agents.sink import Memory
from darlr.data.log import InteractionLog
from darlr.errors import RunError
from darlr.experiments.compiling import as_begun
from darlr.experiments.finished import FinishedRun, finish, handed_over
from darlr.experiments.training import OnEpoch, Prepared, announce, prepare, train_agents
from darlr.experiments.watch import watch_truth
from darlr.experiments.world import fit_model, paid_world, world_of
from darlr.options import RunConfig
from darlr.options.json import to_json
from darlr.options.names import named
from darlr.world.fitted import FittedWorldModel
from darlr.world.given import WorldModel


class RunInMemory:
    """What a run in memory has learned so far, and what it takes to continue it."""

    def __init__(self) -> None:
        self._prepared: Prepared | None = None
        self._fitted: FittedWorldModel | None = None
        self._sink = Memory()

    @property
    def source(self) -> InteractionLog | None:
        """The log that the run learns from; None before `start`."""
        return None if self._prepared is None else self._prepared.source

    def start(
        self, asked: RunConfig, source: InteractionLog | None, factors: WorldModel | None, *, resume: bool
    ) -> int:
        """Start the run, or continue it, up to the world model. Returns the number of epochs that are planned.

        source: the log, read already. factors: see `darlr.experiments.training.prepare`. Raises RunError where a run
        cannot be continued with these options and this log.
        """
        if resume and self._prepared is not None:
            asked = as_begun(asked, self._prepared.config)
        prepared = prepare(asked, source, factors)
        if resume:
            self._refuse_other(prepared)
        else:
            self._sink, self._fitted = Memory(), prepared.given
        self._prepared = prepared
        announce(prepared)
        if self._fitted is None:
            self._fitted = fit_model(prepared.logs, prepared.config.world_model)
        return prepared.config.train.epochs

    def train(self, *, watch: bool, on_epoch: OnEpoch) -> FinishedRun:
        """Train the agents of a run that was started. watch, on_epoch: see `darlr.experiments.training.train_run`."""
        assert self._prepared is not None
        assert self._fitted is not None
        watching = watch_truth(self._prepared.config, self._prepared.logs, wanted=watch)
        return train_agents(self._prepared, self._fitted, self._sink, watch=watching, on_epoch=on_epoch)

    def so_far(self) -> FinishedRun | None:
        """The run of an interrupted training; None before the first complete epoch."""
        checkpoint = self._sink.load_checkpoint()
        if checkpoint is None or self._prepared is None or self._fitted is None:
            return None
        config, logs = self._prepared.config, self._prepared.logs
        found = handed_over(checkpoint, self._sink.load_best() if config.train.keep != "last" else None)
        world = paid_world(world_of(self._fitted, logs, replace(config.train, device="cpu")), logs, config)
        return finish(self._sink, config, logs, self._fitted, world, found)

    def _refuse_other(self, prepared: Prepared) -> None:
        """Raise RunError unless the run can be continued with these options and this log."""
        before = self._prepared
        if before is None:
            raise RunError(
                "there is no fit in memory to resume; leave out resume=True to start one, or name the folder of a run"
            )
        if before.logs.checksum != prepared.logs.checksum:
            raise RunError("cannot resume on another log than the fit began with; leave out resume=True")
        old, new = (named(to_json(one.config)) for one in (before, prepared))
        changed = [name for name in old if old[name] != new[name] and name not in ("epochs", "label")]
        if changed:
            raise RunError(f"cannot resume with other options: {', '.join(changed)}; leave out resume=True")
