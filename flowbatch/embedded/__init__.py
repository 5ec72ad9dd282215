"""A Kubernetes API server, its built-in controllers and nodes, in one Python process."""
