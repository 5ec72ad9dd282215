"""topology.volcano.sh/v1alpha1: HyperNode, one performance domain of the network."""

from flowbatch.api.meta import Condition, LabelSelector, ObjectMeta, Wire


class ExactMatch(Wire, frozen=True, kw_only=True):
    """The member of this name."""

    name: str = ""


class RegexMatch(Wire, frozen=True, kw_only=True):
    """Members whose names match, anywhere in the name."""

    pattern: str = ""


class MemberSelector(Wire, frozen=True, kw_only=True):
    """Exactly one of its three; labels select nodes only."""

    exact_match: ExactMatch | None = None
    regex_match: RegexMatch | None = None
    label_match: LabelSelector | None = None


class MemberSpec(Wire, frozen=True, kw_only=True):
    """Members of type Node or HyperNode."""

    type: str = ""
    selector: MemberSelector = MemberSelector()


class HyperNodeSpec(Wire, frozen=True, kw_only=True):
    """The lower the tier, the better its members are connected."""

    tier: int = 0
    tier_name: str = ""
    members: tuple[MemberSpec, ...] = ()


class HyperNodeStatus(Wire, frozen=True, kw_only=True):
    """How many nodes are inside it, and whether the tree above it is sound."""

    conditions: tuple[Condition, ...] = ()
    node_count: int = 0


class HyperNode(Wire, frozen=True, kw_only=True):
    """topology.volcano.sh/v1alpha1 HyperNode, cluster-scoped."""

    metadata: ObjectMeta = ObjectMeta()
    spec: HyperNodeSpec = HyperNodeSpec()
    status: HyperNodeStatus = HyperNodeStatus()
