"""Products of matrices by the fastest float32 kernel that PyTorch holds for this processor.

PyTorch multiplies by MKL, which leaves AVX-512 unused on processors that are not Intel's; oneDNN, which PyTorch holds
too, uses it. The results are the same to rounding. Nothing here changes what is learned.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

# Multiplications from which on oneDNN's faster products make up for its slower calls.
LARGE = 1 << 22


def onednn_is_faster() -> bool:
    """Whether this processor has AVX-512, MKL does not use it, and this PyTorch has oneDNN."""
    tell: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)  # older PyTorch cannot
    processor = tell()
    known = bool(processor.get("avx512_f")) and "Intel" not in str(processor.get("cpu_name", "Intel"))
    return known and hasattr(torch.ops.mkldnn, "_linear_pointwise")


ONEDNN = onednn_is_faster()


def worth_it(rows: Tensor, columns: Tensor) -> bool:
    """Whether a product of these goes to oneDNN."""
    return (
        ONEDNN
        and rows.shape[0] * columns.numel() >= LARGE
        and rows.device.type == "cpu"
        and rows.dtype == columns.dtype == torch.float32
        and not (torch.is_grad_enabled() and (rows.requires_grad or columns.requires_grad))  # it knows no gradient
    )


def _onednn(rows: Tensor, columns: Tensor, bias: Tensor | None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, columns, bias, "none", [], "")
    return result


# PyTorch's compiler takes that operator with weights that never change alone, so it must not look inside.
_opaque = torch.library.custom_op("darlr::product", _onednn, mutates_args=())


@_opaque.register_fake
def _(rows: Tensor, columns: Tensor, bias: Tensor | None) -> Tensor:
    return rows.new_empty(rows.shape[0], columns.shape[0])


def onednn_product(rows: Tensor, columns: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows [n, k] @ columns [m, k].T + bias [m], float32 [n, m], by oneDNN."""
    return _opaque(rows, columns, bias) if torch.compiler.is_compiling() else _onednn(rows, columns, bias)


def plain_product(rows: Tensor, columns: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same by PyTorch."""
    return rows @ columns.T if bias is None else torch.addmm(bias, rows, columns.T)
