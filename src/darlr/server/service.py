"""Answers requests: the arm, the engine, the sink, and requests that come twice. It knows nothing of HTTP."""

import asyncio
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from darlr.data.spelling import plain
from darlr.decisions.records import Decision, Reward, Sink, utc
from darlr.errors import RunError
from darlr.options import StrategyConfig
from darlr.server.answered import Answered
from darlr.server.arms import Arm, Arms
from darlr.server.engine import Chosen, Engine, Job
from darlr.server.messages import Answer, Feedback, Model, Rejected, Shown, Wanted
from darlr.server.metrics import Metrics
from darlr.serving.asked import Asked, Rules
from darlr.serving.given import ItemRule, unknown_items
from darlr.serving.ids import NEW

UNKNOWN = "this server answered no request of this name"
UNLOGGED = "decisions cannot be logged"
REMEMBERED = 10_000  # named requests whose answers are kept, so that they can come twice


class ConflictError(Exception):
    """A request has the name of an earlier one that asked for something else."""


class UnavailableError(Exception):
    """The sink takes no more, so nothing is shown."""


class Service:
    """The state of a server. Its coroutines run in one thread, so that nothing here needs a lock."""

    def __init__(
        self,
        arms: Arms,
        engine: Engine,
        sink: Sink,
        usual: StrategyConfig,
        metrics: Metrics,
        earlier: Iterable[str] = (),
        *,
        keep_unknown: bool = False,
    ) -> None:
        """usual: the strategy of requests that name none. earlier: the names of requests that were answered before.

        keep_unknown: whether feedback counts that belongs to no request that was answered.
        """
        self.arms, self.engine, self.sink, self.usual, self.metrics = arms, engine, sink, usual, metrics
        self.answered, self.keep_unknown = Answered(earlier), keep_unknown
        self._answers: OrderedDict[str, tuple[bytes, asyncio.Task[Answer]]] = OrderedDict()
        self._reloading = asyncio.Lock()

    async def recommend(self, wanted: Wanted) -> Answer:
        """The answer to one request; the same one again where the same request comes twice.

        Raises ConfigError for what cannot be asked, ConflictError, UnavailableError, BusyError of the engine, RunError.
        """
        name = wanted.request_id
        if name is None:
            return await self._decide(wanted, str(uuid.uuid4()))
        digest = hashlib.blake2b(wanted.model_dump_json().encode(), digest_size=16).digest()
        if name in self._answers:
            before, task = self._answers[name]
            if before != digest:
                raise ConflictError(f"request_id {name!r} was used for another request; choose another one")
            return await asyncio.shield(task)
        task = asyncio.create_task(self._decide(wanted, name))
        self._answers[name] = digest, task
        task.add_done_callback(lambda done: self._forget(name, done))
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return await asyncio.shield(task)

    def _forget(self, name: str, done: "asyncio.Task[Answer]") -> None:
        """Let a request that failed come again."""
        failed = done.cancelled() or done.exception() is not None
        if failed and self._answers.get(name, (b"", None))[1] is done:
            del self._answers[name]

    async def _decide(self, wanted: Wanted, name: str) -> Answer:
        arm = self.arms.of(name if wanted.user is None else plain(str(wanted.user)))
        config = StrategyConfig(
            wanted.strategy or self.usual.strategy, self.usual.epsilon if wanted.epsilon is None else wanted.epsilon
        )
        asked = _asked(wanted, arm)
        seed = arm.policy.seed(name, asked)
        chosen = await asyncio.wrap_future(self.engine.submit(Job(arm.policy, asked, wanted.count, config, seed)))
        items = [arm.policy.items.ids[code] for code in chosen.codes]
        decision = Decision(
            request_id=name,
            time=datetime.now(UTC),
            user=wanted.user,
            user_known=asked.code is not None,
            history=tuple((event.item, event.reward) for event in wanted.history),
            exclude=tuple(wanted.exclude),
            candidates=None if wanted.candidates is None else tuple(wanted.candidates),
            strategy=config.strategy,
            epsilon=config.epsilon,
            seed=seed if config.random else None,
            items=tuple(items),
            propensities=tuple(chosen.propensities),
            arm=arm.name,
            run=arm.run,
            version=arm.policy.version,
        )
        try:
            self.sink.decided(decision)
        except OSError as error:
            raise UnavailableError(f"{UNLOGGED}, so none is made") from error
        self.answered.add(name)
        self.metrics.decided(decision)
        return _answer(decision, chosen, _warnings(asked))

    def take(self, events: Sequence[Feedback]) -> tuple[int, list[Rejected]]:
        """Keep feedback: how many events were taken, and which were not. Raises UnavailableError."""
        bounds = [arm.policy.unit.bounds for arm in self.arms.arms]
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        taken, rejected, unknown = [], [], 0
        for place, event in enumerate(events):
            try:
                when = utc(event.timestamp)
            except OverflowError:
                rejected.append(Rejected(pointer=f"/{place}/timestamp", detail="is outside the years 1 to 9999"))
                continue
            if not self.keep_unknown and event.request_id not in self.answered:
                unknown += 1
                rejected.append(Rejected(pointer=f"/{place}/request_id", detail=UNKNOWN))
            elif low <= event.reward <= high:
                taken.append(Reward(event.request_id, event.item, event.reward, when))
            else:
                detail = f"{event.reward:g} is outside the log's range of {low:g} to {high:g}"
                rejected.append(Rejected(pointer=f"/{place}/reward", detail=detail))
        try:
            self.sink.rewarded(taken)
        except OSError as error:
            raise UnavailableError("feedback cannot be kept") from error
        self.metrics.took(len(taken), len(rejected) - unknown, unknown)
        return len(taken), rejected

    async def reload(self, name: str | None) -> Arms:
        """Read an arm anew, or all, try them, and then serve them.

        Raises ConfigError for an unknown arm, and ConflictError where a policy cannot be served; all stays then.
        """
        async with self._reloading:
            try:
                fresh = await asyncio.to_thread(self.arms.reloaded, name)
            except RunError as error:
                raise ConflictError(f"{error}; what was served is served still") from error
            self.arms = fresh
            self.metrics.serves(fresh)
            return fresh

    async def answers(self) -> None:
        """Answer one real request of each arm, and see that decisions can be kept; raises what goes wrong."""
        try:
            self.sink.check()
        except OSError as error:
            raise UnavailableError(f"{UNLOGGED} ({error.strerror or error})") from error
        for arm in self.arms.arms:
            job = Job(arm.policy, arm.policy.read(arm.policy.users.ids[0], ()), 1, StrategyConfig())
            await asyncio.wait_for(asyncio.wrap_future(self.engine.submit(job)), 5)


def _asked(wanted: Wanted, arm: Arm) -> Asked:
    items = arm.policy.items
    rules = Rules(ItemRule(wanted.exclude or None, "exclude", items), ItemRule(wanted.candidates, "candidates", items))
    user = NEW if wanted.user is None else wanted.user
    return arm.policy.read(user, [(event.item, event.reward) for event in wanted.history], rules)


def _warnings(asked: Asked) -> list[str]:
    rules = [(rule.option, rule.unknown) for rule in (asked.rules.exclude, asked.rules.only)]
    found = [unknown_items(option, unknown) for option, unknown in [("history", asked.unknown), *rules]]
    return [message.removeprefix("option ") for messages in found for message in messages]


def _answer(decision: Decision, chosen: Chosen, warnings: list[str]) -> Answer:
    rows = enumerate(zip(decision.items, chosen.scores, chosen.propensities, strict=True))
    return Answer.model_construct(
        request_id=decision.request_id,
        model=Model.model_construct(run=decision.run, version=decision.version),
        arm=decision.arm,
        user_known=decision.user_known,
        strategy=decision.strategy,
        items=[Shown(item=i, rank=n + 1, score=s, propensity=p) for n, (i, s, p) in rows],
        warnings=warnings,
    )
