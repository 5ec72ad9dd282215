"""Opinions about order, fit and score behind small Protocols; pure."""
