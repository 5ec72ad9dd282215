"""A client of a Ray cluster: waits for all of its nodes, then asks each of them for its name."""

import os
import socket
import time

import ray

ray.init(address=os.environ["RAY_CLUSTER"])
while len([node for node in ray.nodes() if node["Alive"]]) < 3:
    time.sleep(0.2)


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where() -> str:
    """The host a task runs on."""
    time.sleep(1)
    return socket.gethostname()


found: set[str] = set()
while len(found) < 3:
    found |= set(ray.get([where.remote() for _ in range(6)]))
print(f"ran on {' '.join(sorted(found))}", flush=True)
