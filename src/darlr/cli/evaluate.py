"""`darlr evaluate`: trained policies beside simple ones, as tables and pictures."""

from darlr.cli.options import Evaluate
from darlr.experiments.evaluate import evaluate


def run(options: Evaluate) -> None:
    """Evaluate the runs and write the report."""
    evaluate(
        options.runs,
        options.out,
        pictures=options.pictures,
        only=options.only,
        without_truth=options.without_truth,
    )
