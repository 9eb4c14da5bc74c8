"""Trained policies in MLflow (extra `mlflow`): a flavour for registries, which `mlflow.pyfunc` loads.

import darlr.mlflow

with mlflow.start_run():
    darlr.mlflow.log_model("runs/shop", name="policy", registered_model_name="shop")
policy = darlr.mlflow.load_model("models:/shop/3")  # a TrainedPolicy
mlflow.pyfunc.load_model("models:/shop/3").predict(pd.DataFrame({"user": ["u1", None]}), params={"n": 5})
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr import __version__
from darlr.errors import ConfigError, MachineError
from darlr.options.serving import StrategyConfig
from darlr.serving.folder import METADATA, WEIGHTS, read_policy
from darlr.serving.ids import NEW
from darlr.serving.policy import TrainedPolicy

if TYPE_CHECKING:
    import pandas as pd

try:
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.tracking.artifact_utils import _download_artifact_from_uri as fetched
    from mlflow.types import ParamSchema, ParamSpec
except ModuleNotFoundError as error:
    raise MachineError("darlr.mlflow needs the extra `mlflow`: pip install 'darlr[mlflow]'") from error

FLAVOUR, DATA = "darlr", "policy"
PARAMS = (
    ParamSpec("n", "long", 10),
    ParamSpec("new_items", "boolean", False),
    ParamSpec("strategy", "string", StrategyConfig.strategy),
    ParamSpec("epsilon", "double", StrategyConfig.epsilon),
    ParamSpec("request_id", "string", ""),
)


def save_model(run: str | Path, path: str | Path, mlflow_model: Model | None = None, **options: Any) -> None:
    """Write the policy of a run folder, or a policy folder, as an MLflow model into the folder `path`.

    options: of `mlflow.pyfunc.save_model`, such as `metadata`. Raises RunError where the policy cannot be read.
    """
    policy, model = read_policy(Path(run)), Model() if mlflow_model is None else mlflow_model
    folder = Path(run) if (Path(run) / METADATA).exists() else Path(run) / "policy"
    model.add_flavor(FLAVOUR, darlr_version=__version__, policy_version=policy.version, data=DATA)
    if model.signature is None:
        model.signature = ModelSignature(params=ParamSchema(list(PARAMS)))
    required = {"pip_requirements": [f"darlr[mlflow]=={__version__}"], **options}
    pyfunc.save_model(str(path), loader_module=__name__, data_path=str(folder), mlflow_model=model, **required)


def log_model(run: str | Path, name: str = DATA, **options: Any) -> Any:
    """Log the policy as a model of the active MLflow run; returns its ModelInfo. options: of `mlflow.models.Model.log`.

    `registered_model_name` registers it.
    """
    return Model.log(name=name, flavor=sys.modules[__name__], run=str(run), **options)


def load_model(uri: str) -> TrainedPolicy:
    """The policy at an MLflow address, such as `models:/shop/3`. Raises RunError where it is damaged."""
    return _policy(Path(fetched(artifact_uri=uri)))


def _policy(folder: Path) -> TrainedPolicy:
    found = sorted(folder.rglob(WEIGHTS))
    return read_policy(found[0].parent if found else folder)


def _load_pyfunc(path: str) -> "Served":
    return Served(_policy(Path(path)))


class Served:
    """The policy as `mlflow.pyfunc` calls it."""

    def __init__(self, policy: TrainedPolicy) -> None:
        self.policy = policy

    def predict(self, frame: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """The next items of each row's user: user, rank, item, score, propensity, known.

        frame: a column `user`, where null is a new user, and optionally `history`, lists of (item, reward). params:
        PARAMS, which are options of `TrainedPolicy.recommend`. Raises ConfigError for another column, and what that
        raises.
        """
        import pandas as pd

        unknown = set(frame.columns) - {"user", "history"}
        if unknown or "user" not in frame:
            raise ConfigError(f"a frame has the columns user and history, not {sorted(map(str, frame.columns))}")
        more = {one.name: one.default for one in PARAMS} | (params or {})
        more["request_id"] = more["request_id"] or None
        parts = []
        for user, history in zip(frame["user"], frame.get("history", [()] * len(frame)), strict=True):
            found = self.policy.recommend(NEW if pd.isna(user) else user, history=history, **more)
            parts.append(pd.DataFrame(found.to_dict(as_series=False)))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
