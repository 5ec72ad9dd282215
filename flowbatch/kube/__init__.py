"""A Kubernetes client: requests, errors, configuration, transport, lease; knows no scheduling."""
