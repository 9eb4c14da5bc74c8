"""A table row that tests vary."""

import numpy as np

from darlr.evaluation.evaluate import Row

ROW = Row(
    name="DARLR",
    kind="learned",
    sampled=False,
    exit_aware=False,
    mode="NX_0",
    window=1,
    mean=79.456,
    interval=(78.0, 81.0),
    iqm=80.0,
    iqm_interval=(79.0, 82.0),
    length=30.0,
    each=2.6485,
    coverage=0.1,
    majority=None,
    seeds=5,
    users=290,
    random=None,
    random_interval=None,
    returns=np.zeros((5, 290)),
)
