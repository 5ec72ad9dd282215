"""Whole worlds in one process tree: flowbatch up, and simulation."""
