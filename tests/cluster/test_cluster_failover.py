"""When the leading replica dies, does the other go on, and do the jobs?"""

import pytest

from tests.cluster.test_cluster_jobs import job
from tests.cluster.world import Cluster, Replicas


@pytest.mark.parametrize("verb", ["scheduler", "controllers"])
def test_the_other_replica_takes_over_and_a_job_submitted_meanwhile_runs(
    replicas: Replicas, there: Cluster, verb: str
) -> None:
    there.until(lambda: replicas.leader(verb) != "", "a leader")
    first = replicas.leader(verb)
    there.apply(job("before", replicas=2))
    there.wait_phase("before", "Running")
    uids = {pod["metadata"]["uid"] for pod in there.get("pods")["items"]}

    replicas.processes[first].kill()
    there.apply(job("meanwhile", ["true"], replicas=2))
    there.until(lambda: replicas.leader(verb) not in ("", first), "the other replica to lead")
    there.wait_phase("meanwhile", "Completed")

    # What ran was left alone.
    assert there.phase("before") == "Running"
    assert uids <= {pod["metadata"]["uid"] for pod in there.get("pods")["items"]}
    # The next test has a rival again.
    replicas.start(verb, f"{first}-again")
