"""An exported policy gives the logits of its twin in PyTorch, and is served without PyTorch."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from darlr.agents.learner import build_recommender
from darlr.data.split import select
from darlr.errors import ConfigError, RunError
from darlr.io.tensors import read_both, write_both
from darlr.serving.folder import METADATA, SCHEMA, WEIGHTS, export
from darlr.serving.ids import NEW
from darlr.serving.policy import TrainedPolicy
from darlr.serving.read import open_policy
from darlr.world.belief import Belief
from tests.agents.tiny import options
from tests.serving.tiny import CATEGORY, ITEMS, LOG, MODEL, PLAIN, POLICIES, certain, learned, world_of

pytest.importorskip("onnx", reason="an export needs the extra `onnx`")
from darlr.serving.exported.write import export_onnx


def believing(folder: Path) -> None:
    """DARLR+ with a belief about new users, and a felt caution."""
    config = options(recommender__prior=2.0, recommender__belief=1.0, recommender__caution=5.0, **CATEGORY)
    draw = torch.Generator().manual_seed(0)
    noise = 0.1 + torch.rand(ITEMS, generator=draw)
    belief = Belief(torch.randn(ITEMS, generator=draw), torch.randn(ITEMS, 3, generator=draw), noise)
    trained = select(LOG, np.arange(len(LOG)) % 2 == 0)  # the log holds more than what the policy was trained on
    world = replace(certain(world_of(MODEL, PLAIN), trained), belief=belief)
    export(build_recommender(world, config).eval(), world, LOG, config, folder)


ALL = {
    **POLICIES,
    "learned, two heads": learned(tracker__heads=2, tracker__window=5),
    "learned, mean tracker, prior, belief": learned(
        tracker__kind="mean", recommender__prior=3.0, recommender__belief=0.5, recommender__caution=5.0, **CATEGORY
    ),
    "believing": believing,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, write in ALL.items():
        found[name] = tmp_path_factory.mktemp("exported")
        write(found[name] / "policy")
        export_onnx(found[name] / "policy", found[name] / "onnx")
    return found


@pytest.mark.parametrize("name", ALL)
def test_logits_are_those_of_pytorch(folders: dict[str, Path], name: str) -> None:
    trained, exported = open_policy(folders[name] / "policy"), open_policy(folders[name] / "onnx")
    assert isinstance(trained, TrainedPolicy)
    generator = np.random.default_rng(0)
    asked = []
    for number in range(100):
        items = generator.permutation(ITEMS)[: number % 16]
        history = [(int(item), float(generator.integers(1, 6))) for item in items]
        user = NEW if number % 3 == 0 else f"u{number % 12}"
        asked.append([one.read(user, history) for one in (trained, exported)])
    for known in (True, False):
        some = [pair for pair in asked if (pair[0].code is not None) == known][:64]
        for size in (1, 2, 3, len(some)):
            (wanted, may, _), (found, can, _) = (
                one.scored([pair[side] for pair in some[:size]]) for side, one in enumerate((trained, exported))
            )
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(may, can)
            alone, _, _ = exported.scored([some[0][1]])
            np.testing.assert_array_equal(alone[0], found[0])
        parts = (one.predicted([pair[side] for pair in some]) for side, one in enumerate((trained, exported)))
        np.testing.assert_allclose(*parts, rtol=0, atol=1e-4)


SERVED = """
import asyncio, json, sys
from pathlib import Path
sys.modules["torch"] = None  # every import of it fails
import darlr.cli.serve, darlr.cli.main
from darlr.options import ServeConfig
from darlr.server.messages import Wanted
from darlr.server.run import application
service = application(ServeConfig((Path(sys.argv[1]),))).state.service
async def ask():
    for user, strategy in (("u1", "greedy"), ("u2", "sample"), (None, "explore")):
        history = [{"item": 3, "reward": 4.0}, {"item": 5, "reward": 1.0}]
        wanted = Wanted(user=user, strategy=strategy, history=history, request_id=strategy, epsilon=0.5)
        print((await service.recommend(wanted)).model_dump_json())
asyncio.run(ask())
service.engine.close()
assert "polars" not in sys.modules
"""


def test_it_is_served_without_pytorch(folders: dict[str, Path]) -> None:
    folder = folders["believing"] / "onnx"
    answer = subprocess.run([sys.executable, "-c", SERVED, folder], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    policy = open_policy(folder)
    history = [(3, 4.0), (5, 1.0)]
    for line, user in zip(answer.stdout.splitlines(), ("u1", "u2", NEW), strict=True):
        found = json.loads(line)
        assert found["model"]["version"] == policy.version
        wanted = policy.recommend(
            user, 10, history=history, strategy=found["strategy"], epsilon=0.5, request_id=found["strategy"]
        )
        assert found["items"] == wanted.select("item", "rank", "score", "propensity").to_dicts()


def test_a_damaged_folder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for file, change, message in (
        ("graph.onnx", lambda raw: raw[:-1] + b"?", "checksum does not fit"),
        ("tables.safetensors", lambda raw: raw[:-4] + b"\x00\x00\xc0\x7f", "checksum does not fit"),
        ("tables.safetensors", lambda raw: raw[:100], "damaged policy"),
        ("policy.json", lambda raw: raw.replace(b'"item_ids": [', b'"item_ids": [77,'), "is of shape"),
        ("policy.json", lambda raw: raw.replace(b'"window": 3', b'"window": 4'), "does not fit its options"),
    ):
        folder = Path(shutil.copytree(folders["believing"] / "onnx", tmp_path / "copy", dirs_exist_ok=True))
        (folder / file).write_bytes(change((folder / file).read_bytes()))
        with pytest.raises(RunError, match=message):
            open_policy(folder)


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    learned(recommender__precision="bfloat16")(tmp_path / "policy")
    with pytest.raises(ConfigError, match=r"recommender\.precision bfloat16 cannot be exported"):
        export_onnx(tmp_path / "policy", tmp_path / "onnx")
    learned()(tmp_path / "policy")
    files = tmp_path / "policy" / WEIGHTS, tmp_path / "policy" / METADATA
    tensors, metadata = read_both(*files, "", "policy", SCHEMA)
    write_both(*files, tensors, {**metadata, "dynamics": {"spread": 1.0, "rule": "never", "fatigue": None}})
    with pytest.raises(ConfigError, match=r"prices leaving \(recommender\.price\) cannot be exported yet"):
        export_onnx(tmp_path / "policy", tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
