"""Answers the page: the arms that it has open, and the one thread that computes what only the page shows.

What only the page needs is imported when it is first opened.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from darlr.errors import ConfigError
from darlr.options import StrategyConfig
from darlr.server.arms import Arm
from darlr.server.engine import BusyError, Job
from darlr.server.page.messages import (
    ArmAbout,
    Comparison,
    Found,
    Play,
    Reasons,
    Served,
    Training,
    Turn,
    WantedReasons,
    WantedTurn,
)
from darlr.server.service import Service
from darlr.serving.asked import Asked
from darlr.serving.ids import NEW

WAITING = 16  # the most requests of the page that wait for its thread
if TYPE_CHECKING:
    from darlr.server.page.opened import Opened

T = TypeVar("T")


class Desk:
    """The state of the page. Its coroutines run in the thread of the service.

    Next items come from the service's inference thread, as for every client. They are not logged as decisions, because
    a person who tries out the page is no user.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._thread = ThreadPoolExecutor(1, "page")
        self._waiting = 0
        self._opened: dict[str, Opened] = {}

    def close(self) -> None:
        """End the thread, without what waits for it."""
        self._thread.shutdown(cancel_futures=True)

    def served(self) -> Served:
        """The arms, without opening any."""
        usual = self.service.usual
        names = [arm.name for arm in self.service.arms.arms]
        return Served(arms=names, strategy=usual.strategy, epsilon=usual.epsilon)

    async def about(self, name: str | None) -> ArmAbout:
        """What an arm is. It opens the run, which may take long the first time."""
        arm = self._arm(name)
        return await self._do(lambda: self._open(arm).about())

    async def users(self, name: str | None, query: str, most: int) -> Found:
        """Users whose id holds the query."""
        arm = self._arm(name)

        def find() -> Found:
            opened = self._open(arm)
            return Found(found=[opened.user(code) for code in opened.users.find(query, most)], total=len(opened.users))

        return await self._do(find)

    async def items(self, name: str | None, query: str, most: int) -> Found:
        """Items whose id, category or features hold the query."""
        arm = self._arm(name)

        def find() -> Found:
            opened = self._open(arm)
            return Found(found=[opened.item(code) for code in opened.items.find(query, most)], total=len(opened.items))

        return await self._do(find)

    async def turn(self, wanted: WantedTurn) -> Turn:
        """The next items, and what has been learned of the user."""
        arm = self._arm(wanted.arm)
        asked, config = _asked(arm, wanted), StrategyConfig(wanted.strategy, wanted.epsilon)
        seed = arm.policy.seed(wanted.request_id, asked)
        job = Job(arm.policy, asked, wanted.count, config, seed)
        chosen = await asyncio.wrap_future(self.service.engine.submit(job))

        def show() -> Turn:
            from darlr.server.page.turns import turn_of

            return turn_of(self._open(arm), asked, chosen)

        return await self._do(show)

    async def reasons(self, wanted: WantedReasons) -> Reasons:
        """Why an item has its place."""
        arm = self._arm(wanted.arm)
        asked = _asked(arm, wanted)

        def explain() -> Reasons:
            from darlr.server.page.turns import reasons

            return reasons(self._open(arm), asked, wanted.item)

        return await self._do(explain)

    async def compare(self) -> Comparison:
        """The evaluations of the arms."""
        arms = self.service.arms

        def read() -> Comparison:
            from darlr.server.page.report import compare

            return compare(arms)

        return await self._do(read)

    async def training(self, name: str | None) -> Training:
        """The run of an arm."""
        arm, arms = self._arm(name), self.service.arms

        def read() -> Training:
            from darlr.server.page.report import training_of

            return training_of(arm, arms)

        return await self._do(read)

    def _arm(self, name: str | None) -> Arm:
        arms = self.service.arms.arms
        found = next((arm for arm in arms if name in (None, arm.name)), None)
        if found is None:
            raise ConfigError(f"no arm is called {name!r}; the arms are {', '.join(repr(arm.name) for arm in arms)}")
        return found

    def _open(self, arm: Arm) -> "Opened":
        """The arm with its run; opened once for each version of its policy."""
        from darlr.server.page.opened import open_arm

        known = self._opened.get(arm.name)
        if known is None or known.arm.policy is not arm.policy:
            known = self._opened[arm.name] = open_arm(arm)
        return known

    async def _do(self, work: Callable[[], T]) -> T:
        """Compute in the page's thread. Raises BusyError where too many wait."""
        if self._waiting >= WAITING:
            raise BusyError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


def _asked(arm: Arm, play: Play) -> Asked:
    user = NEW if play.user is None else play.user
    return arm.policy.read(user, [(event.item, event.reward) for event in play.history])
