"""Events in, decisions out; pure."""
