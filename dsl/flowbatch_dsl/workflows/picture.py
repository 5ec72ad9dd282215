"""A workflow drawn as inline SVG: one box a step, layer by layer from left to right, without a script or a font."""

from collections.abc import Mapping, Sequence
from html import escape

#: Sizes in pixels of a box and of the room between boxes.
WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 132, 34, 44, 14, 6
#: Characters of a name that fit a box.
SHOWN_CHARS = 17
#: With more steps a picture says less than a list.
MOST_STEPS = 300
COLOURS = {
    "Completed": "#c8e6c9",
    "Running": "#bbdefb",
    "Probing": "#bbdefb",
    "Failed": "#ffcdd2",
    "Skipped": "#eeeeee",
    "Waiting": "#ffffff",
}


def layers(after: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Steps by the length of the longest way to them; `after` has no circle. O(edges)."""
    depth: dict[str, int] = {}
    stack = list(after)[::-1]
    while stack:
        name = stack[-1]
        missing = [each for each in after[name] if each not in depth]
        if missing and name not in depth:
            stack += missing
            continue
        stack.pop()
        depth[name] = max((depth[each] + 1 for each in after[name]), default=0)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in after:
        columns[depth[name]].append(name)
    return columns


def drawing(after: Mapping[str, Sequence[str]], notes: Mapping[str, str], states: Mapping[str, str]) -> str:
    """The graph as SVG; a box shows its step's name and note, and the colour of its state if it has one."""
    places = _places(layers(after))
    right = max((x for x, _ in places.values()), default=0) + WIDTH + EDGE
    bottom = max((y for _, y in places.values()), default=0) + HEIGHT + EDGE
    lines = [_line(places[before], places[name]) for name, befores in after.items() for before in befores]
    boxes = [_box(name, place, notes.get(name, ""), states.get(name, "Waiting")) for name, place in places.items()]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{right}" height="{bottom}" font-family="sans-serif">'
    return "".join([head, *lines, *boxes, "</svg>"])


def _places(columns: Sequence[Sequence[str]]) -> dict[str, tuple[int, int]]:
    """The upper left corner of each box, columns centred on each other."""
    tallest = max(map(len, columns), default=0)
    places = {}
    for x, column in enumerate(columns):
        top = (tallest - len(column)) * (HEIGHT + GAP_Y) // 2
        for y, name in enumerate(column):
            places[name] = (EDGE + x * (WIDTH + GAP_X), EDGE + top + y * (HEIGHT + GAP_Y))
    return places


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    bend = (x1 + x2) // 2
    return f'<path d="M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}" fill="none" stroke="#90a4ae"/>'


def _box(name: str, place: tuple[int, int], note: str, state: str) -> str:
    x, y = place
    shown = name if len(name) <= SHOWN_CHARS else name[: SHOWN_CHARS - 1] + "…"
    title = f"<title>{escape(f'{name} {note} {state}'.strip())}</title>"
    colour = COLOURS.get(state, COLOURS["Waiting"])
    box = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{colour}" stroke="#546e7a"/>'
    text = f'<text x="{x + 8}" y="{y + 15}" font-size="12" fill="#102027">{escape(shown)}</text>'
    under = f'<text x="{x + 8}" y="{y + 28}" font-size="9" fill="#546e7a">{escape(note[:24])}</text>'
    return f"<g>{title}{box}{text}{under}</g>"
