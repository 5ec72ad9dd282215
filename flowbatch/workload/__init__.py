"""What a Job means: rules, defaults, expansion, phases, reconciliation; pure."""
