"""The jax plugin: what programs tell `jax.distributed.initialize` (Kubeflow Trainer: jax policy). Volcano has none.

JAX itself reads the coordinator's address; number and index are arguments: `num_processes=int(os.environ[...])`.
"""

from collections.abc import Mapping
from typing import ClassVar

from flowbatch.workload.roles.flags import Flag
from flowbatch.workload.roles.ranks import Ranked


class Jax(Ranked):
    """JAX_COORDINATOR_ADDRESS (host and port), JAX_NUM_PROCESSES and JAX_PROCESS_ID: one process a pod."""

    name: ClassVar[str] = "jax"
    flags: ClassVar[Mapping[str, Flag]] = {**Ranked.flags, "port": 6666}
    port_name: ClassVar[str] = "jaxjob-port"

    def variables(self, host: str, port: int, rank: int, size: int) -> Mapping[str, object]:
        """JAX's names."""
        return {"JAX_COORDINATOR_ADDRESS": f"{host}:{port}", "JAX_NUM_PROCESSES": size, "JAX_PROCESS_ID": rank}
