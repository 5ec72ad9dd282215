"""A container's log: one line a record, stamped when it was read, in two files of bounded size."""
# pathlib would double what every pod's first process loads.
# ruff: noqa: PTH105

import os
import time

#: A log is at most two files of this size.
ROTATE_BYTES = 8 * 1024 * 1024
#: A longer line is cut into partial records, as container runtimes do.
MAX_LINE_BYTES = 16 * 1024


def stamp() -> bytes:
    """The time of day in RFC 3339 with nanoseconds, UTC."""
    nanos = time.time_ns()
    seconds, rest = divmod(nanos, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % rest


class LogFile:
    """Writes `<time> F <line>` (a whole line) or `<time> P <piece>` (of a long one)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take what the container wrote; a line without an end yet waits for it."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        now = stamp()
        records = [record for line in lines for record in _records(now, line)]
        while len(self._rest) > MAX_LINE_BYTES:
            records.append(now + b" P " + self._rest[:MAX_LINE_BYTES] + b"\n")
            self._rest = self._rest[MAX_LINE_BYTES:]
        if records:
            self._write(b"".join(records))

    def _write(self, data: bytes) -> None:
        if self._size and self._size + len(data) > ROTATE_BYTES:
            os.replace(self._path, self._path + ".1")
            os.close(self._fd)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = 0
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(data)

    def flush(self) -> None:
        """Write the unfinished last line, if there is one."""
        if self._rest:
            self._write(stamp() + b" P " + self._rest + b"\n")
            self._rest = b""

    def close(self) -> None:
        """Flush and let go."""
        self.flush()
        os.close(self._fd)


def _records(now: bytes, line: bytes) -> list[bytes]:
    pieces = []
    while len(line) > MAX_LINE_BYTES:
        pieces.append(now + b" P " + line[:MAX_LINE_BYTES] + b"\n")
        line = line[MAX_LINE_BYTES:]
    return [*pieces, now + b" F " + line + b"\n"]
