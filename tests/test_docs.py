"""Every block of code in the README and the guide runs, and every link leads somewhere.

A block marked `python` or `bash` runs. One marked `sh` takes too long or needs a network, so that only its `darlr`
commands are parsed. The blocks of a page run in order, in one folder, with options that make training take a moment.
"""

import re
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import darlr
from darlr.cli.dispatch import parse
from darlr.cli.main import main
from darlr.data.sets.synthetic import generate
from darlr.options import SyntheticConfig

pytestmark = pytest.mark.usefixtures("few_sweeps")
ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"python", "bash", "sh", "text"}

WORLD = SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)
AGENTS = {"steps": 32, "sessions": 16, "session__turns": 4, "selector__picks": 2, "selector__projection": 4}
MODEL = {"model__members": 2, "model__embedding": 4, "model__epochs": 1}
OPTIONS: dict[str, Any] = AGENTS | MODEL
WORDS = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('__', '.')}", str(value))]
MORE = {
    "train": [*WORDS, "--epochs", "1"],
    "compare": [*WORDS, "--epochs", "1", "--no-pictures"],
    "evaluate": ["--no-pictures"],
    "update": ["--epochs", "1"],
}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block of a page."""
    return [(found[1], found[2]) for found in BLOCK.finditer(page.read_text("utf-8"))]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `darlr` command."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "darlr":
            yield words[1:]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log as the pages describe it: 24 users, 16 items, stars, times, genres."""
    log = generate(WORLD).log
    draw = np.random.default_rng(0)
    minutes = (np.datetime64("2026-03-01", "us") + draw.permutation(len(log)).astype("timedelta64[m]")).astype("M8[us]")
    users, items = [f"u{user}" for user in log.user], [f"sku-{item}" for item in log.item]
    events = pl.DataFrame({"uid": users, "sku": items, "stars": log.reward.round(), "ts": minutes})
    events.write_csv(tmp_path / "events.csv")
    late = events.with_columns(sku=pl.Series(np.roll(items, 7)), ts=pl.col("ts") + pl.duration(days=1))
    late[:60].write_csv(tmp_path / "new.csv")
    genres = pl.DataFrame(
        {"sku": [f"sku-{item}" for item in range(16)], "genre": [f"g{item % 4}" for item in range(16)]}
    )
    genres.write_parquet(tmp_path / "items.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_block_runs(page: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(darlr, "Recommender", partial(darlr.Recommender, **OPTIONS))
    names: dict[str, Any] = {"sold_out": ["sku-3"], "in_stock": [f"sku-{number}" for number in range(16)]}
    for kind, text in blocks(page):
        assert kind in KINDS, f"a block of {page.name} names no language that is known here: {kind!r}"
        if kind == "python":
            exec(compile(text, str(page), "exec"), names)
        for words in commands(text) if kind in ("bash", "sh") else ():
            if kind == "sh":
                parse(words)
            else:
                assert main([*words, *MORE.get(words[0], [])]) == 0, words


def anchors(page: Path) -> set[str]:
    """What `#...` can point to on a page, as GitHub spells it."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", LINKED, ids=[str(page.relative_to(ROOT)) for page in LINKED])
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text("utf-8"))):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
