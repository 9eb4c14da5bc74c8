"""A program that runs one cell on Ray until it is killed: `python -m ... FOLDER SOURCE [ADDRESS OF A CLUSTER]`."""

import sys
import time
from pathlib import Path

from darlr.experiments.study.cells import Cell
from darlr.experiments.study.on_ray import Ray
from darlr.options import RunConfig

if __name__ == "__main__":
    place, source = map(Path, sys.argv[1:3])
    cell = Cell("trivial", "trivial", RunConfig(), 0, (), data="", truth="")
    ray = Ray(None, *sys.argv[3:])
    ray.open([cell], place)
    (place / "temporary").write_text(str(ray._folder))
    try:
        job = ray.start(cell, place / "cell", source)
        while job.poll() is None:
            time.sleep(0.05)
    finally:
        ray.close()
