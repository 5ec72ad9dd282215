"""Sizes and digests of what was moved: sha256 of a file; of a directory, of its files' names and digests in order."""

import hashlib
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Every file of a directory, in the order of their names."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def measure(path: Path) -> tuple[int, str]:
    """Bytes and `sha256:...` of a file or a directory."""
    if path.is_file():
        with path.open("rb") as file:
            return path.stat().st_size, f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    total, whole = 0, hashlib.sha256()
    for each in files_below(path):
        size, digest = measure(each)
        total += size
        whole.update(f"{each.relative_to(path).as_posix()}\0{digest}\n".encode())
    return total, f"sha256:{whole.hexdigest()}"
