"""Every sum recomputed, by what is checked: `model.check` calls all of it."""
