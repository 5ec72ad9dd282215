"""A process of jax.distributed: everybody's index, gathered."""

import os

import jax

jax.distributed.initialize(
    num_processes=int(os.environ["JAX_NUM_PROCESSES"]), process_id=int(os.environ["JAX_PROCESS_ID"])
)

import jax.numpy as jnp  # noqa: E402
from jax.experimental import multihost_utils  # noqa: E402

found = multihost_utils.process_allgather(jnp.array([jax.process_index()])).ravel().tolist()
print(f"process {jax.process_index()} of {jax.process_count()}: {found}", flush=True)
