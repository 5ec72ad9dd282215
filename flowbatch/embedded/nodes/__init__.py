"""Nodes that run pods as real processes, or play them on a clock."""
