"""What every tier shares: the event loop of async tests, and the choice of cluster for `tests/cluster`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--on",
        choices=("embedded", "real", "etcd34"),
        default="embedded",
        help="which API server tests/cluster runs on: embedded, a real kube-apiserver, or one on Debian's etcd 3.4",
    )


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
