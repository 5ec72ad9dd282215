"""The embedded API server alone, without CRDs, admission or anything of flowbatch: a control plane to attach to.

`python -m tests.cluster.bare_server KUBECONFIG` runs until it is told to stop.
"""

import sys
from pathlib import Path

import anyio

from flowbatch.cli.programs import cancel_on_signal
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers


async def main(kubeconfig: Path) -> None:
    """Serve, and write `kubeconfig` once that works."""
    async with ApiServer() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(cancel_on_signal, tasks.cancel_scope)
        tasks.start_soon(EmbeddedControllers(server).run)
        server.write_kubeconfig(kubeconfig)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
