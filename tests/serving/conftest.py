"""Policies of every kind."""

import pytest

from darlr.serving.folder import read_policy
from darlr.serving.policy import TrainedPolicy
from tests.serving.tiny import POLICIES


@pytest.fixture(scope="session")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedPolicy]:
    found = {}
    for name, write in POLICIES.items():
        folder = tmp_path_factory.mktemp("many") / "policy"
        write(folder)
        found[name] = read_policy(folder)
    return found
