"""The benchmark of a GPU, on the CPU and on tiny tables: that it runs, what it measures, and what it leaves."""

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.floor import floor, sizes_of
from benchmarks.growth import made_up
from darlr.options import SessionConfig


@pytest.fixture(autouse=True)
def short_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of three turns cost a tenth of the default's thirty."""
    monkeypatch.setattr(gpu, "SessionConfig", partial(SessionConfig, turns=3))


def test_every_case_is_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SIZES", {"tiny": (14, 40), "small": (16, 50)})
    monkeypatch.setattr(gpu, "WAYS", {"plain": (False, "float32"), "low": (False, "bfloat16")})
    monkeypatch.setattr(gpu, "SESSIONS", (2, 3))
    monkeypatch.setattr(gpu, "SEEDS", (1, 2))
    monkeypatch.setattr(gpu, "METHODS", ("dorl",))
    monkeypatch.setattr(gpu, "PROBE", (100, 8))
    out = tmp_path / "gpu.json"
    gpu.main(["--device", "cpu", "--out", str(out), "--rollouts", "1"])
    kept = json.loads(out.read_text(encoding="utf-8"))
    names = ("tables", "method", "way", "sessions", "seeds")
    found = [tuple(row[name] for name in names) for row in kept["rows"]]
    tiny = [("plain", 2, 1), ("low", 2, 1), ("plain", 3, 1), ("plain", 2, 2)]
    assert found == [(size, "dorl", *rest) for size, ways in (("tiny", tiny), ("small", tiny[:2])) for rest in ways]
    assert all(min(row["steps"], row["ready"], row["share"]) > 0 for row in kept["rows"])
    assert kept["card"]["name"] == "CPU"
    assert kept["provenance"]["seed"] == 0


@pytest.mark.parametrize(("method", "logits"), [("dorl", 40), ("darlr", 40 + 10 * 14)])
def test_the_share_of_the_bandwidth_by_hand(method: str, logits: int) -> None:
    case = gpu.Case("tiny", 14, 40, method, "plain", sessions=3, seeds=1)
    world = made_up(14, 40)
    found = gpu.measure(case, world, "cpu", copied=1e6, rollouts=1)
    work = floor(sizes_of(world), gpu.options(case, "cpu"))
    # of 40 items, and for 10 picks of 14 users; in the rollout and in the update, each written and read
    assert found.share == pytest.approx(found.steps * (work.bytes + 2 * logits * 2 * 4) / 1e6)
    assert found.memory == 0
