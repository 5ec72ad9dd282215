"""What the server serves: one `Resource` per kind and version, and the registry that finds them by path.

Two resources may share a `storage` name: the versions of one CRD, or events of the core and the events group. Objects
are stored once and shown in the version that was asked for.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.columns import Column
from flowbatch.embedded.apiserver.structural import Structural

View = Callable[[JsonObject], JsonObject]
#: Reads the value that a field selector compares, from a stored object.
Getter = Callable[[JsonObject], str]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One resource in one version."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ALL_VERBS
    #: Name in the table of built-in types; empty for custom resources.
    type_name: str = ""
    storage: str = ""
    selectable: Mapping[str, Getter] = field(default_factory=dict)
    #: Field that stored objects are indexed by, so that its selectors and watches need no scan.
    indexed_field: str = ""
    columns: tuple[Column, ...] = ()
    structural: Structural | None = None
    #: Whether `metadata.generation` counts changes of the spec.
    counts_generations: bool = True
    #: Whether a PUT without resourceVersion overwrites.
    unconditional_update: bool = True
    create_on_update: bool = False
    #: Whether a finished DELETE is answered with the object rather than a Status.
    returns_deleted: bool = False
    inward: View | None = None
    outward: View | None = None
    #: For a scalable custom resource: JSON paths of its scale subresource.
    scale: JsonObject | None = None

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition made this resource."""
        return not self.type_name

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_status(self) -> bool:
        """Whether status is written through `/status` only."""
        return "status" in self.subresources

    @property
    def storage_name(self) -> str:
        """Where its objects live in the store."""
        return self.storage or f"{self.group}/{self.plural}"

    @property
    def list_name(self) -> str:
        """The kind of a list of these."""
        return self.list_kind or f"{self.kind}List"

    @property
    def singular_name(self) -> str:
        """`pod` for pods."""
        return self.singular or self.kind.lower()


class Registry:
    """All resources served at the moment; CRDs come and go."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        #: Raised at each change, so that discovery and OpenAPI documents can be cached.
        self.revision = 0
        for each in resources:
            self.add(each)

    def add(self, resource: Resource) -> None:
        """Serve `resource` from now on, in place of an older one at its path."""
        self._by_path[(resource.group, resource.version, resource.plural)] = resource
        self._by_kind[(resource.api_version, resource.kind)] = resource
        self.revision += 1

    def remove(self, resource: Resource) -> None:
        """Stop serving `resource`."""
        self._by_path.pop((resource.group, resource.version, resource.plural), None)
        self._by_kind.pop((resource.api_version, resource.kind), None)
        self.revision += 1

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at `/apis/group/version/plural`."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource whose objects say this apiVersion and kind."""
        return self._by_kind.get((api_version, kind))

    def of_any_version(self, api_version: str, kind: str) -> Resource | None:
        """Like `of_kind`, but any served version of the group will do (owner references age)."""
        exact = self.of_kind(api_version, kind)
        if exact is not None:
            return exact
        group = api_version.rpartition("/")[0]
        return next((each for each in self if each.group == group and each.kind == kind), None)

    def of_storage(self, name: str) -> Resource | None:
        """The resource that shows the objects of a collection just as they are stored."""
        return next((each for each in self if each.storage_name == name and each.outward is None), None)

    def __iter__(self) -> Any:
        return iter(list(self._by_path.values()))

    def in_version(self, group: str, version: str) -> list[Resource]:
        """Every resource of one group and version, by plural."""
        found = [each for each in self if (each.group, each.version) == (group, version)]
        return sorted(found, key=lambda each: each.plural)

    def groups(self) -> dict[str, list[str]]:
        """Named groups with their versions, the preferred one first; the core group is left out."""
        found: dict[str, list[str]] = {}
        for each in self:
            if each.group and each.version not in found.setdefault(each.group, []):
                found[each.group].append(each.version)
        return {group: sorted(versions, key=version_rank) for group, versions in sorted(found.items())}


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Kubernetes' order of versions: GA before beta before alpha, higher numbers first, odd names last."""
    digits = ""
    rest = version.removeprefix("v")
    while rest and rest[0].isdigit():
        digits, rest = digits + rest[0], rest[1:]
    if not version.startswith("v") or not digits:
        return (3, 0, 0, version)
    for level, word in enumerate(("", "beta", "alpha")):
        tail = rest.removeprefix(word)
        if rest == word or (word and rest.startswith(word) and tail.isdigit()):
            return (level, -int(digits), -int(tail or 0), version)
    return (3, 0, 0, version)
