"""The container file and the systemd unit name options that exist, and run without rights."""

import json
import re
from pathlib import Path

from darlr.cli.dispatch import parse

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_container_runs_without_rights_and_its_command_parses() -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    entry, command = (
        json.loads(re.findall(rf"^{word} (\[.*\])$", text, re.MULTILINE)[0]) for word in ("ENTRYPOINT", "CMD")
    )
    assert entry == ["darlr", "serve"]
    options = parse([*entry[1:], *command])
    assert (options.host, options.runs, options.page) == ("0.0.0.0", (Path("/runs/shop"),), True)
    assert text.index("\nUSER 10001") < text.index("\nENTRYPOINT")


def test_the_unit_runs_without_rights_and_its_command_parses() -> None:
    unit = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "darlr.service").read_text("utf-8"), re.MULTILINE))
    options = parse(unit["ExecStart"].split()[1:])
    assert (options.port, options.drain) == (8000, 30)
    assert int(unit["TimeoutStopSec"]) > options.drain
    assert unit["DynamicUser"] == unit["NoNewPrivileges"] == "yes"
