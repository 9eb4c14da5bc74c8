"""`darlr evaluate`: see darlr.experiments.evaluate."""

from darlr.experiments.evaluate import run

__all__ = ["run"]
