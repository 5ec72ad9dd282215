"""Regular expressions that people write into objects: read as Go reads them, as far as Python can, and never for ever.

Go's engine is linear; Python's backtracks. What could make it do so without end is refused: a repetition of something
that itself repeats or offers a choice, and more than a few unbounded repetitions in a row.
"""

import re
from functools import lru_cache

#: Unbounded repetitions in one pattern: so many over a name of 253 characters end in milliseconds.
MOST_REPETITIONS = 5
#: Longest pattern.
MOST_CHARS = 1024


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str] | str:
    """The pattern, or why it cannot be used."""
    if not pattern or len(pattern) > MOST_CHARS:
        return f"must have 1 to {MOST_CHARS} characters"
    problem = _endless(pattern)
    if problem:
        return problem
    try:
        return re.compile(pattern.replace(r"\z", r"\Z"))
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression: {error}"


def _endless(pattern: str) -> str:
    """Why matching could take for ever; empty where it cannot. One pass, a stack of open groups."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern, flags=re.DOTALL)
    groups: list[bool] = [False]
    closed = False
    unbounded = 0
    for at, char in enumerate(bare):
        repeats = char in "*+" or (char == "{" and re.match(r"\{\d*,\d*\}", bare[at:]) is not None)
        if char == "(":
            groups.append(False)
        elif char == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
            continue
        elif char == "|":
            groups[-1] = True
        elif repeats:
            unbounded += 1
            groups[-1] = True
            if closed:
                return "repeats what itself repeats or offers a choice, which may take for ever to match"
        closed = False
    return f"has more than {MOST_REPETITIONS} repetitions" if unbounded > MOST_REPETITIONS else ""
