"""What every tier shares: asyncio (on uvloop where it runs) as the one event loop of async tests."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
