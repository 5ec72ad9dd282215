"""Which host ports are in use on which node. Sparse, because hardly any pod asks for one."""

from flowbatch.model.ids import Row

Port = tuple[str, str, int]
EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104  (a wildcard to compare with, not to listen on)


class HostPorts:
    """(protocol, port) -> row -> host addresses in use there, each with its number of users."""

    def __init__(self) -> None:
        self._users: dict[tuple[str, int], dict[Row, dict[str, int]]] = {}

    def take(self, row: Row, ports: tuple[Port, ...], sign: int = 1) -> None:
        """Use `ports` on `row`; sign -1 gives them back."""
        for protocol, address, port in ports:
            rows = self._users.setdefault((protocol, port), {})
            addresses = rows.setdefault(row, {})
            addresses[address] = addresses.get(address, 0) + sign
            if not addresses[address]:
                del addresses[address]
            if not addresses:
                del rows[row]
            if not rows:
                del self._users[protocol, port]

    def taken(self, ports: tuple[Port, ...]) -> list[Row]:
        """Rows where at least one of `ports` collides with one in use; a wildcard address collides with any."""
        hit: dict[Row, None] = {}
        for protocol, address, port in ports:
            for row, addresses in self._users.get((protocol, port), {}).items():
                if any(collides(address, used) for used in addresses):
                    hit[row] = None
        return list(hit)

    def content(self) -> list[tuple[str, int, Row, str, int]]:
        """Everything in it, sorted: for checks and digests."""
        return sorted(
            (protocol, port, row, address, count)
            for (protocol, port), rows in self._users.items()
            for row, addresses in rows.items()
            for address, count in addresses.items()
        )


def collides(one: str, other: str) -> bool:
    """Two host addresses cannot both have a port if they are equal or one is every address."""
    return one == other or one in EVERY_ADDRESS or other in EVERY_ADDRESS
