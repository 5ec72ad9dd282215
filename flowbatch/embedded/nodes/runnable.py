"""A pod as a node reads it: metadata and status typed, the spec whole, because a node acts on every field of it."""

from flowbatch.api.core import PodStatus
from flowbatch.api.kinds import Kind
from flowbatch.api.meta import Condition, JsonObject, ObjectMeta, Wire


class RunnableStatus(PodStatus, frozen=True, kw_only=True):
    """core/v1 PodStatus with the times of its conditions: a node writes them anew, as they were."""

    conditions: tuple[Condition, ...] = ()


class RunnablePod(Wire, frozen=True, kw_only=True):
    """core/v1 Pod with its PodSpec as plain JSON."""

    metadata: ObjectMeta = ObjectMeta()
    spec: JsonObject = {}
    status: RunnableStatus = RunnableStatus()

    @property
    def node(self) -> str:
        """The node it is bound to, or ""."""
        return str(self.spec.get("nodeName", ""))

    @property
    def hostname(self) -> str:
        """What `hostname` prints in it."""
        return str(self.spec.get("hostname") or self.metadata.name)[:63].rstrip(".-")

    @property
    def subdomain(self) -> str:
        """The headless service under which its host name is found, or ""."""
        return str(self.spec.get("subdomain", ""))

    @property
    def grace_seconds(self) -> int:
        """How long its containers may take to stop."""
        asked = self.metadata.deletion_grace_period_seconds
        return int(self.spec.get("terminationGracePeriodSeconds", 30)) if asked is None else asked

    @property
    def containers(self) -> list[JsonObject]:
        """Init containers and containers, in the order in which they start."""
        return [*self.spec.get("initContainers", ()), *self.spec.get("containers", ())]


RUNNABLE_POD = Kind("", "v1", "Pod", "pods", RunnablePod)
#: Every pod that has a node, whoever's: an API server can select one node by name, or none, but not several.
BOUND = "spec.nodeName!="
