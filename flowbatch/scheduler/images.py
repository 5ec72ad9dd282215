"""Which container images anybody asks for: nodes list up to fifty, of which the engine is told those that pods name."""

from collections.abc import Iterable

from flowbatch.api.core import ContainerImage

#: Sorted (name, bytes).
Images = tuple[tuple[str, int], ...]


def normal_name(image: str) -> str:
    """As nodes spell it: with a tag."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"


class MentionedImages:
    """Images that pods name; equal lists of nodes are one object."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._fresh: list[str] = []
        self._lists: dict[Images, Images] = {}

    def mention(self, names: Iterable[str]) -> None:
        """A pod has containers of these."""
        for name in names:
            if name not in self._names:
                self._names[name] = None
                self._fresh.append(name)

    def fresh(self) -> list[str]:
        """Those mentioned for the first time since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def of(self, images: Iterable[ContainerImage]) -> Images:
        """What of a node's images the engine is told."""
        if not self._names:
            return ()
        found = {name: image.size_bytes for image in images for name in image.names if name in self._names}
        listed = tuple(sorted(found.items()))
        return self._lists.setdefault(listed, listed)
