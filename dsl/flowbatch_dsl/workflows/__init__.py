"""Workflows: graphs of jobs, and typed functions that build them. A `Workflow` is a value, as a `Job` is."""
