"""Metrics of two updates, plain and compiled: `python -m tests.agents.fast.compiled BACKEND CASES`.

`CASES` is a JSON list; a case is a method and its options, and each gives one line of JSON.

A process of its own, as the hook that checks shapes in tests would stand in the compiler's way.
"""

import json
import sys

import torch

from darlr.agents.fast.kernels import compiled
from darlr.agents.learner import learn
from tests.agents.test_devices import prepared

if __name__ == "__main__":
    backend, cases = sys.argv[1], json.loads(sys.argv[2])
    for method, more in cases:
        found = []
        for kernels in (None, compiled("cpu", backend)):
            learner, simulator = prepared(method, more)
            if kernels is not None:
                learner.kernels = kernels
            torch.manual_seed(0)  # dropout's
            rows = [learn(learner, simulator, 8) for _ in range(2)]
            found.append([{name: float(value) for name, value in row.items()} for row in rows])
        print(json.dumps(found))
