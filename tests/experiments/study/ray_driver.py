"""A program that runs one cell on a Ray of its own until it is killed: `python -m ... FOLDER SOURCE`."""

import sys
import time
from pathlib import Path

from darlr.experiments.study.cells import Cell
from darlr.experiments.study.on_ray import Ray
from darlr.options import RunConfig

if __name__ == "__main__":
    place, source = map(Path, sys.argv[1:])
    cell = Cell("trivial", "trivial", RunConfig(), 0, (), data="", truth="")
    ray = Ray()
    ray.open([cell], place)
    (place / "temporary").write_text(str(ray._folder))
    try:
        job = ray.start(cell, place / "cell", source)
        while job.poll() is None:
            time.sleep(0.05)
    finally:
        ray.close()
