"""Every kind of world model by the name that the option `model.kind` gives it."""

from darlr.world.kinds import bayesian, deepfm, history, mixed
from darlr.world.kinds.kind import Kind

KINDS: dict[str, Kind] = {
    "deepfm": deepfm.KIND,
    "bayesian": bayesian.KIND,
    "mixed": mixed.KIND,
    "history": history.KIND,
}
