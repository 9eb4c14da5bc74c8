"""Metrics of two updates, plain and compiled, printed as one line of JSON for each case.

A process of its own, as the hook that checks shapes in tests would stand in the compiler's way.
"""

import json
import sys

import torch
from torch._inductor import config as inductor
from torch._inductor.cpu_vec_isa import VecISA

from darlr.agents.fast.kernels import compiled
from darlr.agents.learner import learn
from tests.agents.test_devices import prepared


def main() -> None:
    """The argument is a JSON list of cases: a backend, a method and its options."""
    inductor.cpp_cache_precompile_headers = False  # that takes longer than it spares three files
    # trying the instruction sets of the processor takes half of the time of a first run
    inductor.cpp.vec_isa_ok = True
    VecISA.check_build = lambda *_: False  # type: ignore[method-assign]  # their extensions
    for backend, method, more in json.loads(sys.argv[1]):
        found = []
        for kernels in (None, compiled("cpu", backend)):
            learner, simulator = prepared(method, more)
            if kernels is not None:
                learner.kernels = kernels
            torch.manual_seed(0)  # dropout's
            rows = [learn(learner, simulator, 8) for _ in range(2)]
            found.append([{name: float(value) for name, value in row.items()} for row in rows])
        print(json.dumps(found))
