"""Does a whole cluster come to rest in the right state, whatever fails and whoever dies on the way?

A few seeds, judged from what is stored; `soak.py` beside this file lives through more of them.
"""

import pytest

from tests.embedded.chaos.world import Plan, lived


@pytest.mark.parametrize("seed", [2, 13, 17])
async def test_a_cluster_that_lived_through_faults_and_deaths_ends_as_it_should(seed):
    here = await lived(Plan(seed=seed))
    assert here.lives > 1
    assert here.trouble.fired
    assert here.checkers.bindings
