"""`darlr point`: which version of a policy is in use."""

from darlr.cli.policy_options import Point
from darlr.errors import RunError
from darlr.experiments.progress import say
from darlr.serving.versions import in_use, point, versions


def run(options: Point) -> None:
    """Point to a version, or list the versions. Raises RunError where there is none."""
    if options.version:
        point(options.folder, options.version)
        say(f"{options.folder} is at version {options.version}; servers follow at their next reload")
        return
    known = versions(options.folder)
    if not known:
        raise RunError(f"{options.folder}: holds no versions; write one with darlr export RUN --to {options.folder}")
    current = in_use(options.folder)
    for name in known:
        print(f"{name}{'  in use' * (name == current)}")
    if current is None:
        say(f"none of them is in use; choose one with darlr point {options.folder} VERSION")
