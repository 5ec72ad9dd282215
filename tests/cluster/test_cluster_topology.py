"""Does a job with a network topology land inside one HyperNode, each partition in its own, as kubectl sees it?"""

import json

import pytest

from tests.cluster.test_cluster_jobs import NODE_MILLIS, job, pods


def hyper_node(name, tier, members, kind="Node"):
    selected = [{"type": kind, "selector": {"exactMatch": {"name": each}}} for each in members]
    spec = {"tier": tier, "tierName": f"tier-{tier}", "members": selected}
    meta = {"name": name}
    return {"apiVersion": "topology.volcano.sh/v1alpha1", "kind": "HyperNode", "metadata": meta, "spec": spec}


@pytest.fixture
def tree(cluster):
    """One HyperNode for each node, and one around them all."""
    nodes = sorted(each["metadata"]["name"] for each in cluster.get("nodes")["items"])
    ours = [hyper_node(f"rack-{at}", 1, [node]) for at, node in enumerate(nodes)]
    ours.append(hyper_node("spine", 2, [each["metadata"]["name"] for each in ours], "HyperNode"))
    for each in ours:
        cluster.apply(json.dumps(each))
    yield nodes
    cluster.kubectl("delete", "hypernodes", *(each["metadata"]["name"] for each in ours))


def test_hypernodes_have_volcanos_columns_and_say_how_many_nodes_they_hold(cluster, tree):
    head, *rows = cluster.kubectl("get", "hn").splitlines()
    assert head.split() == ["NAME", "TIER", "TIERNAME", "NODECOUNT", "AGE"]
    assert [row.split()[0] for row in rows] == [*(f"rack-{at}" for at in range(len(tree))), "spine"]
    cluster.until(
        lambda: cluster.get("hn", "spine").get("status", {}).get("nodeCount") == len(tree), "the number of nodes"
    )


def test_a_jobs_partitions_run_each_inside_one_hypernode(cluster, tree):
    half = f"{NODE_MILLIS // 2 - 50}m"
    hard = {"mode": "hard", "highestTierAllowed": 1}
    parts = {"totalPartitions": 2, "partitionSize": 2, "networkTopology": hard}
    wide = {"mode": "hard", "highestTierAllowed": 2}
    cluster.apply(job("parts", replicas=4, cpu=half, task={"partitionPolicy": parts}, networkTopology=wide))
    cluster.wait_phase("parts", "Running")
    where = {}
    for pod in pods(cluster, "parts"):
        labels = pod["metadata"]["labels"]
        where.setdefault(labels["volcano.sh/partition-id"], []).append(pod["spec"]["nodeName"])
    assert sorted(len({*nodes}) for nodes in where.values()) == [1, 1]
    cluster.kubectl("delete", "vcjob", "parts")


def test_a_job_that_fits_no_hypernode_of_its_tier_says_so(cluster, tree):
    more_than_half = f"{NODE_MILLIS // 2 + 100}m"
    hard = {"mode": "hard", "highestTierAllowed": 1}
    cluster.apply(job("tight", replicas=2, cpu=more_than_half, networkTopology=hard))

    def why():
        return cluster.flowbatch("why", "tight", "-n", cluster.namespace).stdout

    cluster.until(lambda: "it can never fit: the largest would hold 1 of 2 pods" in why(), "a reason", story=why)
    cluster.kubectl("delete", "vcjob", "tight")
