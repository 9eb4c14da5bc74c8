"""What the server of tests/forked.py imports, and digests of the source, which its forks then need not compute."""

import scipy.sparse.linalg
import scipy.special  # noqa: F401
import torch
import torch._dynamo  # what every optimiser imports when it is made

import darlr.cli.train
import darlr.experiments.study.worker  # noqa: F401
from darlr.cli.dispatch import parse
from darlr.experiments.study.cells import UNTOUCHED, digest

torch.set_num_threads(1)
parse(["train", "--out", "x"])  # what tyro reads of the source it keeps
DIGESTS = {kind: digest(kind) for kind in UNTOUCHED}
