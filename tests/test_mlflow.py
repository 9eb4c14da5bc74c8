"""A policy goes into MLflow and comes back the same."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from darlr.errors import ConfigError, RunError
from darlr.serving.folder import read_policy
from darlr.serving.ids import NEW
from tests.serving.tiny import POLICIES

if find_spec("mlflow") is None or find_spec("pandas") is None:
    pytest.skip("the flavour needs the extra `mlflow`", allow_module_level=True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    POLICIES["learned, prior and belief"](tmp_path / "shop" / "policy")
    return tmp_path / "shop"


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_a_saved_policy_recommends_the_same(run: Path, tmp_path: Path) -> None:
    import pandas as pd
    from mlflow import pyfunc

    from darlr import mlflow as flavour

    policy, place = read_policy(run), tmp_path / "model"
    flavour.save_model(run, place)
    assert not list(place.rglob("*.pkl"))
    again = flavour.load_model(str(place))
    assert again.version == policy.version
    served = pyfunc.load_model(str(place))
    frame = pd.DataFrame({"user": ["u3", None], "history": [[(5, 4.5)], [(7, 1.0)]]})
    answer = served.predict(frame, params={"n": 4, "strategy": "sample", "request_id": "r"})
    for user, history, rows in (("u3", [(5, 4.5)], slice(0, 4)), (NEW, [(7, 1.0)], slice(4, 8))):
        wanted = policy.recommend(user, 4, history=history, strategy="sample", request_id="r")
        assert answer["item"][rows].tolist() == wanted["item"].to_list()
        assert answer["score"][rows].tolist() == wanted["score"].to_list()
    flavour.save_model(run / "policy", tmp_path / "alone")
    assert flavour.load_model(str(tmp_path / "alone")).version == policy.version
    with pytest.raises(ConfigError, match="not \\['users'\\]"):
        flavour.Served(policy).predict(pd.DataFrame({"users": ["u3"]}))
    with pytest.raises(RunError, match="no trained policy here"):
        flavour.save_model(tmp_path, tmp_path / "none")
