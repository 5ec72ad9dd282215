"""Which items of a list have ended, as Kubernetes' indexed Jobs write it: "0-4,7"."""

from collections.abc import Iterable


def written(places: Iterable[int]) -> str:
    """Sorted, runs of neighbours drawn together."""
    spans: list[list[int]] = []
    for place in sorted(places):
        if spans and spans[-1][1] == place - 1:
            spans[-1][1] = place
        else:
            spans.append([place, place])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def read(text: str, most: int) -> set[int]:
    """The places below `most` that `text` names; what cannot be read names none."""
    found: set[int] = set()
    for span in text.split(",") if text else ():
        first, _, last = span.partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            found.update(range(int(first), min(int(last or first), most - 1) + 1))
    return found
