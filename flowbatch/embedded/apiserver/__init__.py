"""The embedded API server: objects, versions, watches, patches and HTTP."""

from flowbatch.embedded.apiserver.admission import Admit, Lookup
from flowbatch.embedded.apiserver.refusals import Refusal
from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.apiserver.store import ObjectStore

__all__ = ["Admit", "ApiServer", "Lookup", "ObjectStore", "Refusal"]
