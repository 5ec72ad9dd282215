"""What kube-controller-manager does, as far as batch users need it, in process with the embedded API server."""

from flowbatch.embedded.controllers.running import EmbeddedControllers

__all__ = ["EmbeddedControllers"]
