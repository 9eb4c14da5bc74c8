"""A client that is made from the OpenAPI document, which sends what the document allows and what it forbids."""

from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="the client comes with the extra `dev`")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.server.conftest import Running

# Only a policy knows its arms and the range of its rewards, so the server refuses some of what the document allows.
LEFT_OUT = [positive_data_acceptance]


@pytest.fixture(scope="module")
def document(server: Running) -> Any:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_the_document_describes(document: Any, mode: GenerationMode) -> None:
    asked = []

    def ask(case: Any) -> None:
        asked.append(case.operation.label)
        case.call_and_validate(excluded_checks=LEFT_OUT)

    for found in document.get_all_operations():
        operation = found.ok()
        if mode == GenerationMode.POSITIVE or operation.body or operation.query:  # else there is nothing to get wrong
            cases = given(case=operation.as_strategy(generation_mode=mode))(ask)
            settings(max_examples=4, suppress_health_check=list(HealthCheck), phases=[Phase.generate])(cases)()
    assert asked.count("POST /v1/recommend") >= 4
