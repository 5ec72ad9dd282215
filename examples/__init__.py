"""Examples: each Python file is a job as an author writes it, with the YAML it compiles to beside it."""
