"""A graph on ONNX Runtime, which is loaded when the first exported policy with networks is read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from darlr.serving.exported.parts import Floats

TRIED = 16  # the rows that are tried together


class Graph:
    """A graph of one output. No bit of a row of its output depends on which rows are beside it."""

    def __init__(self, content: bytes, threads: int) -> None:
        """Raises ValueError for what is no graph that the runtime can run."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has exceptions of its own
            raise ValueError(f"no graph that ONNX Runtime {onnxruntime.__version__} can run ({error})") from error
        self.inputs = {one.name: tuple(one.shape[1:]) for one in self._session.get_inputs()}
        ((self.output, self.width),) = ((one.name, one.shape[1]) for one in self._session.get_outputs())
        self._together = self._alike()

    def __call__(self, given: Mapping[str, NDArray[Any]]) -> Floats:
        """The output for rows of inputs, [B, n]."""
        if self._together:
            return self._run(given)
        rows = len(next(iter(given.values())))
        parts = [self._run({name: value[row : row + 1] for name, value in given.items()}) for row in range(rows)]
        return np.concatenate(parts)

    def _run(self, given: Mapping[str, NDArray[Any]]) -> Floats:
        (found,) = self._session.run(None, given)
        return found  # type: ignore[no-any-return]

    def _alike(self) -> bool:
        """Whether the runtime's kernels round a row alike in batches of any size, as they do on most processors."""
        generator = np.random.default_rng(0)
        given: dict[str, NDArray[Any]] = {
            name: generator.standard_normal((TRIED, *shape), np.float32) for name, shape in self.inputs.items()
        }
        given["items"] = np.arange(TRIED * self.inputs["items"][0]).reshape(TRIED, -1) % 2 - 1
        whole = self._run(given)
        some = (self._run({name: value[:rows] for name, value in given.items()}) for rows in range(1, TRIED))
        return all(np.array_equal(part, whole[: len(part)]) for part in some)
