"""What a JobFlow means: its graph, what each step waits for, the jobs it makes, and the values steps pass on."""
