"""The composition root of the in-cluster programs: settings, health, start and stop."""
