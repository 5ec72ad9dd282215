"""The patience of a reflector, in seconds, with the reasons for each number."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Defaults are for real clusters; tests make them short."""

    #: API servers send a bookmark each minute or so; silence beyond that means a dead connection (kopf, python.md 2.1).
    idle_s: float = 75.0
    #: How long the server is asked to keep a watch open: drawn from this range, so that watches do not end in step.
    watch_s: tuple[int, int] = (300, 600)
    #: Full-jitter backoff: client-go's numbers.
    first_backoff_s: float = 0.8
    max_backoff_s: float = 30.0
    #: A watch that ends cleanly sooner than this and brought nothing is a failure, not a pause.
    short_watch_s: float = 1.0
    #: A crowded API server cuts watches whose turn did not come in time, over and over: each such cut is waited for
    #: briefly, growing only while nothing at all arrives (seen: kube-apiserver 1.36 at 600 pod events a second).
    first_short_s: float = 0.05
    #: A watch that lived this long proves that all is well again.
    healthy_s: float = 10.0
    #: The longest that decoding may hold the event loop before others run.
    slice_s: float = 0.005
