"""Store changes about claimed devices in, facts into the mailbox; and pods again, whose claims have changed.

A pod says only which claims it has; what it asks for stands in those. So a claim that comes, goes, or is given
something makes the pods that wait for it look different, and they are told anew.
"""

from collections.abc import Callable, Iterable, Iterator

from flowbatch.api.core import Pod
from flowbatch.api.resource import DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice
from flowbatch.engine import events
from flowbatch.scheduler.deviceclaims import Contents, Known, claim_fact, class_fact, slice_fact, with_claims
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.selectors import Selectors

#: Claims, classes and slices, as they are when an engine starts anew.
Claimed = DeviceClass | ResourceClaim | ResourceSlice


def _nothing(_key: str) -> None:
    return None


class ClaimFeed:
    """One handler per kind. `again` tells a pod anew, by its key."""

    def __init__(self, mailbox: Mailbox, again: Callable[[str], None]) -> None:
        self._mailbox = mailbox
        self._again = again
        self._selectors = Selectors()
        self._contents = Contents(self._selectors)
        #: Where claims are found, and whether there is a template.
        self.known = Known(_nothing, _nothing)
        #: Where to find all slices when somebody selects devices by something new.
        self.slices: Callable[[], Iterable[ResourceSlice]] = tuple
        self._told: dict[str, events.DeviceSliceSeen] = {}
        #: Pods by a claim that they share, or by the template that they wait for.
        self._users: dict[str, dict[str, None]] = {}
        self._waiting: dict[str, dict[str, None]] = {}

    # -- pods

    def pod(self, fact: events.PodSeen, pod: Pod) -> events.PodSeen:
        """The fact with the pod's claims."""
        namespace, key = pod.metadata.namespace, pod.metadata.key
        for entry in pod.spec.resource_claims:
            if entry.resource_claim_name:
                self._users.setdefault(f"{namespace}/{entry.resource_claim_name}", {})[key] = None
            elif not any(said.name == entry.name for said in pod.status.resource_claim_statuses):
                self._waiting.setdefault(f"{namespace}/{entry.resource_claim_template_name}", {})[key] = None
        fact = with_claims(fact, pod, self.known, self._contents)
        self._tell_slices()
        return fact

    def forget(self, pod: Pod) -> None:
        """The pod is gone."""
        namespace, key = pod.metadata.namespace, pod.metadata.key
        for entry in pod.spec.resource_claims:
            for index, name in (
                (self._users, entry.resource_claim_name),
                (self._waiting, entry.resource_claim_template_name),
            ):
                pods = index.get(f"{namespace}/{name}", {})
                if pods.pop(key, True) is None and not pods:
                    del index[f"{namespace}/{name}"]

    # -- kinds

    def claim(self, old: ResourceClaim | None, new: ResourceClaim | None) -> None:
        """A claim appeared, changed or went."""
        if new is not None:
            after = claim_fact(new, self._contents)
            if old is None or claim_fact(old, self._contents) != after:
                self._mailbox.post(("deviceclaim", after.id), after)
        elif old is not None:
            self._mailbox.post(("deviceclaim", old.metadata.key), events.DeviceClaimGone(old.metadata.key))
        self._tell_users(old, new)
        self._tell_slices()

    def _tell_users(self, old: ResourceClaim | None, new: ResourceClaim | None) -> None:
        """Pods that it was made for look different with it, without it, and once it has devices."""
        if old is not None and new is not None and (old.status.allocation is None) == (new.status.allocation is None):
            return
        meta = (new or old).metadata  # type: ignore[union-attr]  # one of them is there
        owners = [owner.name for owner in meta.owner_references if owner.kind == "Pod"]
        for name in owners:
            self._again(f"{meta.namespace}/{name}")

    def template(self, old: ResourceClaimTemplate | None, new: ResourceClaimTemplate | None) -> None:
        """A template appeared or went: who waits for it is told what is missing."""
        if old is None or new is None:
            for key in list(self._waiting.get((new or old).metadata.key, ())):  # type: ignore[union-attr]  # as above
                self._again(key)

    def synced(self) -> None:
        """All first lists are in: now a template that is not there is missing."""
        for key in dict.fromkeys(key for pods in self._waiting.values() for key in pods):
            self._again(key)

    def device_class(self, old: DeviceClass | None, new: DeviceClass | None) -> None:
        """A class appeared, changed or went."""
        if new is not None:
            after = class_fact(new, self._contents)
            if old is None or class_fact(old, self._contents) != after:
                self._mailbox.post(("deviceclass", after.name), after)
            self._tell_slices()
        elif old is not None:
            name = old.metadata.name
            self._mailbox.post(("deviceclass", name), events.DeviceClassGone(name))

    def device_slice(self, old: ResourceSlice | None, new: ResourceSlice | None) -> None:
        """A slice appeared, changed or went."""
        if new is not None:
            self._tell_slice(new)
        elif old is not None:
            name = old.metadata.name
            self._selectors.forget(name)
            self._told.pop(name, None)
            self._mailbox.post(("deviceslice", name), events.DeviceSliceGone(name))

    def _tell_slices(self) -> None:
        """All of them, where somebody selects devices by something new."""
        if self._selectors.fresh():
            for each in self.slices():
                self._tell_slice(each)

    def _tell_slice(self, each: ResourceSlice) -> None:
        fact = slice_fact(each, self._selectors)
        if self._told.get(fact.name) != fact:
            self._told[fact.name] = fact
            self._mailbox.post(("deviceslice", fact.name), fact)

    def everything(self, claimed: Iterable[Claimed]) -> Iterator[events.Event]:
        """All facts from scratch; slices last, when all selectors have been mentioned."""
        slices: list[ResourceSlice] = []
        for each in claimed:
            match each:
                case DeviceClass():
                    yield class_fact(each, self._contents)
                case ResourceClaim():
                    yield claim_fact(each, self._contents)
                case _:
                    slices.append(each)
        self._selectors.fresh()
        for each in slices:
            fact = self._told[each.metadata.name] = slice_fact(each, self._selectors)
            yield fact
