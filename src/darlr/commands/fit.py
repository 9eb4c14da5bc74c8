"""`darlr fit`: the world model."""

from darlr.cli import Fit
from darlr.commands.stages import console, fit_into, open_logs
from darlr.config import RunConfig


def run(options: Fit) -> None:
    """Fit a world model and keep it."""
    config = RunConfig(
        data=options.data, split=options.split, synthetic=options.synthetic, world_model=options.world_model
    )
    logs = open_logs(config)
    fitted = fit_into(options.out, logs, options.split, options.world_model)
    console.print(
        f"world model in {options.out}: best epoch {fitted.metrics['best_epoch']}, "
        f"held-out RMSE {fitted.metrics['held_out_rmse']:.4f}, log loss {fitted.metrics['held_out_loss']:.4f}"
    )
