"""The I/O shells around `flowbatch.workload`: work queues, informers in, requests out."""

from flowbatch.controllers.app import Controllers
from flowbatch.controllers.settings import CONTROLLERS, Settings

__all__ = ["CONTROLLERS", "Controllers", "Settings"]
