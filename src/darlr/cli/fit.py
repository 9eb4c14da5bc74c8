"""`darlr fit`: fit a world model and write it into a folder."""

from dataclasses import replace

from darlr.cli.options import Fit
from darlr.experiments.logs import open_logs
from darlr.experiments.plan import check_options, without_effect
from darlr.experiments.process import configure
from darlr.experiments.progress import say
from darlr.experiments.world import fit_into, refuse_other_content
from darlr.options import TrainConfig


def run(options: Fit) -> None:
    """Fit a world model, write it, and print its held-out error."""
    config = replace(options.config, train=TrainConfig(threads=options.threads))
    check_options(config)
    configure(options.threads)
    refuse_other_content(options.out)
    for sentence in without_effect(config):
        say(f"warning: {sentence}")
    fitted = fit_into(options.out, open_logs(config), options.split, options.world_model)
    found = fitted.metrics
    held_out = "no held-out events to measure it on"
    if found["held_out_rmse"] is not None:
        held_out = f"held-out RMSE {found['held_out_rmse']:.4f}, log loss {found['held_out_loss']:.4f}"
    if "explained" in found:
        held_out = f"{found['explained']:.1%} of the variance around items' means explained on users left out"
        say(f"world model in {options.out}: {found['coordinates']} coordinates of users' histories, {held_out}")
        return
    say(f"world model in {options.out}: best epoch {found['best_epoch']}, {held_out}")
