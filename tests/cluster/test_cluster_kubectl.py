"""Which of kubectl's commands work, and which does the compatibility page rightly say do not?"""

import json

import pytest

from tests.cluster.test_cluster_jobs import job
from tests.cluster.world import Cluster


def test_everyday_commands_work_on_jobs(cluster: Cluster) -> None:
    cluster.apply(job("daily"))
    cluster.kubectl("label", "vcjob", "daily", "team=vision")
    cluster.kubectl("annotate", "vcjob", "daily", "note=kept")
    assert "daily" in cluster.kubectl("get", "vj", "-l", "team=vision", "-o", "name")
    assert "Min Available" in cluster.kubectl("describe", "vcjob", "daily")
    assert "minAvailable" in cluster.kubectl("explain", "vcjob.spec")
    assert "vcjob,vj" in cluster.kubectl("api-resources", "--api-group=batch.volcano.sh")
    cluster.kubectl("wait", "--for=jsonpath={.status.state.phase}=Running", "vcjob/daily", "--timeout=30s")
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(cluster.get("vcjob", "daily")))
    assert "created (server dry run)" in cluster.kubectl(
        "apply", "--dry-run=server", "-f", "-", stdin=job("never-made")
    )
    cluster.kubectl("delete", "vcjob", "daily")


_UNSERVED = [
    (["create", "configmap", "settings", "--from-literal=a=b"], "protobuf is not spoken here"),
    (["create", "namespace", "mine"], "protobuf is not spoken here"),
    (["exec", "daily-main-0", "--", "true"], ""),
]


@pytest.mark.embedded_only("what the embedded server does not serve, a real one does")
def test_what_the_embedded_server_does_not_serve_fails_and_says_so(cluster: Cluster) -> None:
    cluster.apply(job("daily"))
    cluster.wait_phase("daily", "Running")
    for arguments, said in _UNSERVED:
        done = cluster.run("kubectl", "-n", cluster.namespace, *arguments)
        assert done.returncode != 0, arguments
        assert said in done.stderr
    done = cluster.run("kubectl", "-n", cluster.namespace, "apply", "--server-side", "-f", "-", stdin=job("daily"))
    assert done.returncode != 0
    assert "Server-side apply not available" in done.stderr
