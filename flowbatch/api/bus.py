"""bus.volcano.sh/v1alpha1 Command: how Volcano's clients ask for suspend, resume, open and close."""

from flowbatch.api.meta import ObjectMeta, OwnerReference, Wire


class Command(Wire, frozen=True, kw_only=True):
    """An order to the controller of `target`; unlike most kinds it has no spec."""

    metadata: ObjectMeta = ObjectMeta()
    #: AbortJob, ResumeJob, RestartJob, TerminateJob, CompleteJob, OpenQueue, CloseQueue, ...
    action: str = ""
    target: OwnerReference | None = None
    reason: str = ""
    message: str = ""
