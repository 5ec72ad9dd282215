"""networking.k8s.io/v1: the NetworkPolicy that fences a job's pods off from all others."""

from flowbatch.api.meta import ObjectMeta, Wire


class NetworkPolicy(Wire, frozen=True, kw_only=True):
    """networking.k8s.io/v1 NetworkPolicy: made and owned, never read."""

    metadata: ObjectMeta = ObjectMeta()
