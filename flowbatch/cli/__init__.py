"""The flowbatch command; one module per verb, imported lazily."""
