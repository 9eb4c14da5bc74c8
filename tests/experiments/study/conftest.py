"""A grid on a world so small that it takes seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.experiments.study import executors
from tests import forked

WORLD = "--synthetic.users 24 --synthetic.items 16 --synthetic.categories 4 --synthetic.events-per-user 8"
MODEL = "--model.members 2 --model.hidden 8 --model.embedding 4 --model.epochs 2"
AGENTS = (
    "--epochs 2 --steps 80 --sessions 16 --session.turns 5 --selector.picks 3 --selector.projection 4 "
    "--recommender.tracker.dim 8 --recommender.tracker.layers 1 --selector.tracker.dim 8"
)
TINY = f"{WORLD} {MODEL} {AGENTS} --no-pictures".split()


@pytest.fixture(scope="session")
def done(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A finished grid; tests only read it."""
    options = ["--methods", "mbpo,trivial", "--seeds", "2", "--windows", "1", "4", "--jobs", "2"]

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(executors, "subprocess", forked)
            assert main(["compare", "--out", str(folder), *options, *TINY]) == 0

    return once("grid", make)
