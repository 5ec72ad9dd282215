"""One small cluster per test."""

import pytest

from tests.embedded.controllers.stage import world as make_world


@pytest.fixture
async def world(tmp_path):
    async with make_world(tmp_path) as made:
        yield made
