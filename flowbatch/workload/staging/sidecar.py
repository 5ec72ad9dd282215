"""The sidecar that stores a pod's outputs, as the pod's status shows it."""

from flowbatch.api.core import Pod

#: Its container's name.
STORE = "flowbatch-store"


def failed_code(pod: Pod) -> int:
    """The exit code of the sidecar of a pod that succeeded but for storing its outputs; 0 where nothing failed.

    Its kubelet calls such a pod Succeeded, because sidecars do not count.
    """
    if pod.status.phase != "Succeeded":
        return 0
    for status in pod.status.init_container_statuses:
        if status.name == STORE and status.state.terminated is not None:
            return status.state.terminated.exit_code
    return 0
