"""List and watch into a typed store; knows no scheduling."""

from flowbatch.informer.informer import Informer
from flowbatch.informer.store import Store
from flowbatch.informer.timing import Timing

__all__ = ["Informer", "Store", "Timing"]
