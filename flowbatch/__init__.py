"""A batch system for Kubernetes: gangs, queues, jobs, and the reason why anything waits."""

__version__ = "0.1.0"
