"""What the server of tests/forked.py imports, and digests of the source, which its forks then need not compute."""

import torch

from darlr.experiments.study.cells import UNTOUCHED, digest

torch.set_num_threads(1)
DIGESTS = {kind: digest(kind) for kind in UNTOUCHED}
