"""Where the pods of certain namespaces, or with a certain annotation, belong: node labels, tolerations, affinity and
scheduler name that such pods get when they are made (Volcano: `resourceGroups` of its admission configuration).

Settings, and nothing else: every program reads them, only the webhook acts on them (`placing`).
"""

from typing import Any, Literal

import msgspec


class Match(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which pods: those in one of these namespaces, or with one of these annotations ("name: value")."""

    key: Literal["", "namespace", "annotation"] = ""
    value: tuple[str, ...] = ()


class ResourceGroup(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One group; without `object`, pods with the annotation volcano.sh/resource-group of its name are meant."""

    resource_group: str
    object: Match = Match()
    scheduler_name: str = ""
    tolerations: tuple[dict[str, Any], ...] = ()
    #: Node labels: the pods' node selector.
    labels: dict[str, str] = {}
    #: An Affinity, as an object or, as Volcano has it, as JSON text.
    affinity: str | dict[str, Any] = ""

    def __post_init__(self) -> None:
        """Text that is no Affinity is a mistake of the settings, and told as one."""
        if isinstance(self.affinity, str) and self.affinity:
            try:
                msgspec.json.decode(self.affinity, type=dict[str, Any])
            except msgspec.MsgspecError as problem:
                raise ValueError(f"affinity is no JSON object: {problem}") from None
