"""Inputs and outputs of a job as steps of its pods: an init container that fetches, a sidecar that stores.

A pod's inputs lie in a volume of the pod and are mounted read-only where the spec says; its outputs are written to
that volume and stored once all containers have succeeded. How it went is in the termination messages, and from there
in `status.data`. The program in both containers is `flowbatch.staging`.
"""
