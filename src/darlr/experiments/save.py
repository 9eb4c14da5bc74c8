"""Write a trained run, its log included, into a folder that can be moved."""

import shutil
from dataclasses import replace
from pathlib import Path

from darlr.agents.sink import Memory
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sources import open_source
from darlr.data.store import is_prepared
from darlr.data.store import save as save_log
from darlr.errors import RunError
from darlr.experiments.finished import DATA, FinishedRun, world_folder, world_parts
from darlr.experiments.plan import IN_MEMORY
from darlr.experiments.runs import CONFIG, REMEDY, Run
from darlr.experiments.world import save_world_model
from darlr.io.files import read_json, write_json
from darlr.io.folders import replacing_folder
from darlr.io.places import refuse_address
from darlr.options import OWN


def save_run(run: FinishedRun, source: InteractionLog | None, folder: Path) -> None:
    """Write the run into `folder`, replacing a run that is there once the new one is whole.

    source: its log as it was read, None where its options name a data set. Raises RunError when the folder holds
    something else, or cannot be written.
    """
    refuse_address(folder)
    if folder.exists() and not (folder / CONFIG).is_file():
        raise RunError(f"{folder}: exists and is no run; choose another folder")
    with replacing_folder(folder) as place:
        if isinstance(run.home, Memory):
            _write(run, run.home, place, str(folder.resolve() / DATA))
        else:
            shutil.copytree(run.home, place, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
            _own_world(run, place)
        if not is_prepared(place / DATA):
            source = open_source(run.config.data, options=run.config.synthetic) if source is None else source
            keep_log(source, place)


def keep_log(source: InteractionLog, folder: Path) -> None:
    """Write the log of a run beside it."""
    save_log(source, folder / DATA, PrepareReport(IN_MEMORY, rows_read=len(source), rows_kept=len(source)))


def _write(run: FinishedRun, memory: Memory, place: Path, data: str) -> None:
    """Write a run that was trained in memory. data: the place where its log will lie."""
    config = replace(run.config, world=OWN, data=data)
    with Run.start(place, config, inputs={"data": run.logs.checksum}) as opened:
        save_world_model(run.fitted, place / "world", run.logs, run.config.split)
        opened.depend_on(world_parts(place / "world"))
        checkpoint = memory.load_checkpoint()
        assert checkpoint is not None  # a trained run has one
        for row in memory.rows:
            opened.log(row)
        if config.train.keep == "best":
            opened.save_best(*memory.load_best())
        opened.save_checkpoint(checkpoint[0], {"epoch": checkpoint[1]["epoch"]})
        run.export(place / "policy")


def _own_world(run: FinishedRun, place: Path) -> None:
    """Give a copied run the world model that its options name, so that it needs no other folder."""
    if run.config.fits_world:
        return
    shutil.copytree(world_folder(place, run.config), place / "world", dirs_exist_ok=True)
    stored = read_json(place / CONFIG, REMEDY)
    stored["config"]["world"] = OWN
    stored["inputs"].pop("world", None)
    write_json(place / CONFIG, stored)
