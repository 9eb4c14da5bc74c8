"""Products of matrices: the same to rounding, whoever computes them."""

import pytest
import torch

from darlr.agents.fast import twins

HAS_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")
SIZES = [(1, 1, 1), (7, 5, 3), (100, 64, 300), (300, 500, 64)]


@pytest.mark.parametrize(
    "onednn", [False, pytest.param(True, marks=pytest.mark.skipif(not HAS_ONEDNN, reason="oneDNN"))]
)
@pytest.mark.parametrize(("n", "k", "m"), SIZES)
def test_products_are_those_of_double_precision(monkeypatch, onednn, n, k, m):
    monkeypatch.setattr(twins, "ONEDNN", onednn)
    monkeypatch.setattr(twins, "LARGE", 0)
    generator = torch.Generator().manual_seed(n)
    rows, columns, bias = (torch.randn(*size, generator=generator) for size in ((n, k), (m, k), (m,)))
    close = {"atol": 1e-6 * k, "rtol": 1e-5}
    expected = rows.double() @ columns.double().T
    torch.testing.assert_close(twins.product(rows, columns), expected.float(), **close)
    torch.testing.assert_close(twins.product(rows, columns, bias), (expected + bias).float(), **close)
    # gradients ask for products of what is stored the other way round
    turned = rows.T.contiguous().T, columns.T.contiguous().T
    torch.testing.assert_close(twins.product(*turned), expected.float(), **close)


def test_what_onednn_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(twins, "ONEDNN", True)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *given: asked.append(given), raising=False)
    monkeypatch.setattr(twins, "LARGE", 10 * 4 * 2)
    rows, columns = torch.zeros(10, 2), torch.zeros(4, 2)
    twins.product(rows, columns)
    assert len(asked) == 1
    twins.product(rows[1:], columns)  # one row short of large
    twins.product(rows.double(), columns.double())
    twins.product(rows.bfloat16(), columns.bfloat16())
    learned = torch.zeros(4, 2, requires_grad=True)
    assert twins.product(rows, learned).requires_grad  # its kernel has no gradient
    assert len(asked) == 1
    with torch.no_grad():
        twins.product(rows, learned)
    assert len(asked) == 2
    monkeypatch.setattr(twins, "ONEDNN", False)
    twins.product(rows, columns)
    assert len(asked) == 2


@pytest.mark.skipif(not HAS_ONEDNN, reason="oneDNN")
def test_the_compiler_takes_products_as_they_are(monkeypatch):
    monkeypatch.setattr(twins, "ONEDNN", True)
    monkeypatch.setattr(twins, "LARGE", 0)
    given = torch.randn(6, 4), torch.randn(5, 4), torch.randn(5)
    torch.library.opcheck(twins._opaque, given, test_utils=("test_schema", "test_faketensor"))
    compiled = torch.compile(twins.product, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(*given), twins.product(*given))
        torch.testing.assert_close(compiled(*given[:2]), twins.product(*given[:2]))


@pytest.mark.parametrize(
    ("processor", "faster"),
    [
        ({"avx512_f": True, "cpu_name": "AMD EPYC 9554"}, HAS_ONEDNN),
        ({"avx512_f": False, "cpu_name": "AMD EPYC 7763"}, False),
        ({"avx512_f": True, "cpu_name": "Intel(R) Xeon(R) Gold 6330"}, False),
        ({"avx512_f": True}, False),
        ({}, False),
    ],
)
def test_processors_on_which_onednn_is_faster(monkeypatch, processor, faster):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    assert twins.onednn_is_faster() == faster


def test_a_pytorch_that_cannot_tell_the_processor_multiplies_as_ever(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not twins.onednn_is_faster()
