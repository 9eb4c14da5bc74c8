"""Metrics of two updates, plain and compiled: `python compiled.py BACKEND CASES`, the latter a JSON list.

A case is a method and its options; a line of JSON comes for each.

A process of its own, as the hook that checks shapes in tests would stand in the compiler's way.
"""

import json
import sys

import torch
from test_devices import prepared

from darlr.agents.fast.kernels import compiled
from darlr.agents.learner import learn

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
