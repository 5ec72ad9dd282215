"""Cluster truth in the scheduler's own terms: ids, resources, shapes, gangs, queues, nodes; pure."""
