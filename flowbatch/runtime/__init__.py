"""Programs: settings, one task group each, health, memory, plugins, logs."""
