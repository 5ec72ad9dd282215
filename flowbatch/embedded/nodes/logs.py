"""Reading container logs back: the whole, a tail, since a moment, or following until the container ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: How often a followed log is looked at: from the first pause to the longest, growing while nothing comes.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.25
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader wants, as kubectl spells it."""

    follow: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None


def show(record: bytes, wish: Wish) -> bytes:
    """One stored record (without its newline) as the reader sees it."""
    moment, _, rest = record.partition(b" ")
    kind, _, text = rest.partition(b" ")
    text += b"\n" if kind == b"F" else b""
    return moment + b" " + text if wish.timestamps else text


def is_wanted(record: bytes, wish: Wish) -> bool:
    """Whether a record is not older than asked for."""
    if wish.since is None:
        return True
    return record[:19] >= wish.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def stored(path: Path) -> tuple[bytes, int, int]:
    """Everything kept of a log, with inode and size of the file that still grows."""
    older = b""
    with path.open("rb") as file:
        rotated = path.with_name(path.name + ".1")
        if rotated.exists():
            older = rotated.read_bytes()
        newest = file.read()
        newest = newest[: newest.rfind(b"\n") + 1]
        return older + newest, os.fstat(file.fileno()).st_ino, len(newest)


def select(data: bytes, wish: Wish) -> Iterator[bytes]:
    """The wanted records of `data` as they are shown."""
    records = [record for record in data.split(b"\n") if record and is_wanted(record, wish)]
    if wish.tail_lines is not None:
        records = records[-wish.tail_lines :] if wish.tail_lines > 0 else []
    for record in records:
        yield show(record, wish)


async def read(path: Path, wish: Wish, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Pieces of the log; when following, until `ended` says that nothing more is written and all is read."""
    left = wish.limit_bytes
    async for piece in _pieces(path, wish, ended):
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        if piece:
            yield piece
        if left is not None and left <= 0:
            return


async def _pieces(path: Path, wish: Wish, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    data, inode, offset = stored(path)
    yield b"".join(select(data, wish))
    pause_s = FIRST_PAUSE_S
    while wish.follow:
        over = ended()  # asked before reading: what is written after this is read, or the next round is another
        records, inode, offset = _news(path, inode, offset)
        if records:
            yield b"".join(show(record, wish) for record in records)
            pause_s = FIRST_PAUSE_S
            continue
        if over:
            return
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)


def _news(path: Path, inode: int, offset: int) -> tuple[list[bytes], int, int]:
    """Whole records written since `offset`; follows the log over a rotation."""
    try:
        with path.open("rb") as file:
            now = os.fstat(file.fileno()).st_ino
            if now != inode:
                with path.with_name(path.name + ".1").open("rb") as older:
                    older.seek(offset)
                    rest = older.read().split(b"\n")[:-1]
                return rest, now, 0
            file.seek(offset)
            data = file.read(_CHUNK_BYTES)
    except FileNotFoundError:
        return [], inode, offset
    end = data.rfind(b"\n") + 1
    return data[:end].split(b"\n")[:-1], inode, offset + end
