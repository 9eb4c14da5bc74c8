"""`darlr point`: which version of a policy is in use."""

from darlr.cli.policy_options import Point
from darlr.errors import RunError
from darlr.experiments.progress import say
from darlr.serving.versions import CURRENT, point, pointed, versions


def run(options: Point) -> None:
    """Point to a version, or list the versions. Raises RunError where there is none."""
    if options.version:
        point(options.folder, options.version)
        say(f"{options.folder} is at version {options.version}; servers follow at their next reload")
        return
    known = versions(options.folder)
    if not known:
        raise RunError(f"{options.folder}: holds no versions; write one with darlr export RUN --to {options.folder}")
    current = pointed(options.folder).name if (options.folder / CURRENT).is_file() else None
    for name in known:
        print(f"{name}{'  in use' * (name == current)}")
