"""The picture of which room of the package imports which: `python -m tools.imports docs/images/imports.svg`.

Rooms stand one above the other, in the order that tests/test_imports.py holds. An arrow leads from a room to one that
it imports; its width grows with the number of modules that do so. An arrow upwards would break the rule and be red.
"""

import ast
import sys
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "darlr"
ROOMS = {  # each imports only rooms that come before it
    "io": "files, folders, tensors on disk",
    "options": "every option and its default",
    "data": "logs: read, checked, split",
    "decisions": "what was served, on disk",
    "world": "world models, tables, similarity",
    "simulation": "a session, and who leaves it",
    "methods": "the rewards of the methods",
    "agents": "recommender and selector",
    "policies": "lists, bandits, other learners",
    "evaluation": "the truth, protocols, statistics",
    "serving": "a trained policy on its own",
    "experiments": "runs, reports, comparisons",
    "api": "the Python interface",
    "cli": "the command line",
}
STEP, LEFT, WIDTH, HEIGHT = 46, 14, 300, 34


def imported(path: Path) -> set[str]:
    """The rooms that one module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("darlr.")} & ROOMS.keys()


def arrows() -> Counter[tuple[str, str]]:
    """How many modules of a room import another room."""
    found: Counter[tuple[str, str]] = Counter()
    for room in ROOMS:
        for path in (SOURCE / room).rglob("*.py"):
            found.update((room, other) for other in imported(path) if other != room)
    return found


def picture(found: Counter[tuple[str, str]]) -> str:
    """The picture as SVG, readable on light and on dark pages."""
    rooms = [room for room in reversed(ROOMS) if (SOURCE / room).is_dir()]
    place = {room: 14 + STEP * number for number, room in enumerate(rooms)}
    parts = []
    for (room, other), count in sorted(found.items(), key=lambda pair: place[pair[0][0]] - place[pair[0][1]]):
        start, end = place[room] + HEIGHT / 2 + 5, place[other] + HEIGHT / 2 - 5
        x, reach = LEFT + WIDTH, 26 + 0.42 * abs(end - start)
        kind = "down" if end > start else "up"
        parts.append(
            f'<path class="{kind}" stroke-width="{0.7 + 0.28 * count**0.5:.2f}" '
            f'd="M{x} {start} C{x + reach:.0f} {start} {x + reach:.0f} {end} {x + 7} {end}" marker-end="url(#{kind})"/>'
        )
    for room in rooms:
        y = place[room]
        parts.append(
            f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7"/>'
            f'<text x="{LEFT + 12}" y="{y + 22}" class="room">{room}</text>'
            f'<text x="{LEFT + WIDTH - 12}" y="{y + 21}" class="what">{ROOMS[room]}</text>'
        )
    head = "".join(
        f'<marker id="{kind}" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" markerHeight="7" orient="auto" '
        f'markerUnits="userSpaceOnUse"><path class="{kind}-head" d="M0 0 L8 4 L0 8 z"/></marker>'
        for kind in ("down", "up")
    )
    return STYLE.format(height=14 + STEP * len(rooms), head=head, body="\n".join(parts))


STYLE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 {height}" role="img"
 aria-label="Rooms of the package, one above the other; every arrow leads down to a room that is imported">
<style>
svg {{ font-family: system-ui, sans-serif; }}
rect {{ fill: #eef2ff; stroke: #6477c9; }}
.room {{ font-size: 14px; font-weight: 600; fill: #1c2333; }}
.what {{ font-size: 10.5px; fill: #4a5470; text-anchor: end; }}
.down, .up {{ fill: none; stroke: #6477c9; opacity: 0.6; }}
.down-head {{ fill: #6477c9; }}
.up {{ stroke: #d3303f; opacity: 1; }}
.up-head {{ fill: #d3303f; }}
@media (prefers-color-scheme: dark) {{
rect {{ fill: #222a45; }} .room {{ fill: #f0f3ff; }} .what {{ fill: #b9c3e6; }}
}}
</style>
<defs>{head}</defs>
{body}
</svg>
"""

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(arrows()), encoding="utf-8")
