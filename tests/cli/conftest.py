"""A world and a run so small that training one takes a moment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from darlr.cli.main import main

WORLD = "--synthetic.users 24 --synthetic.items 16 --synthetic.categories 4 --synthetic.events-per-user 8"
MODEL = "--model.members 2 --model.hidden 8 --model.embedding 4 --model.epochs 3"
AGENTS = (
    "--epochs 3 --steps 160 --sessions 16 --session.turns 5 --selector.picks 3 --selector.projection 4 "
    "--recommender.tracker.dim 8 --recommender.tracker.layers 1 --recommender.tracker.dropout 0.1 "
    "--selector.tracker.dim 8 --selector.a2c.minibatch 64 --recommender.a2c.minibatch 64"
)
TINY = f"{WORLD} {MODEL} {AGENTS}".split()


@pytest.fixture(scope="module", autouse=True)
def few(few_sweeps: None) -> None:
    """See `few_sweeps`."""


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options of `darlr train` for the tiny world."""
    return TINY


@pytest.fixture(scope="session")
def trained(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A finished run, never interrupted; tests only read it."""

    def make(folder: Path) -> None:
        assert main(["train", "--out", str(folder), *TINY]) == 0

    return once("run", make)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail, and return what it says."""

    def run(*arguments: object, code: int = 1) -> str:
        capsys.readouterr()
        try:
            found = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            found = stop.code  # type: ignore[assignment]
        said = capsys.readouterr().err
        assert found == code, said
        assert "Traceback" not in said
        return said

    return run
