"""What kube-controller-manager does, as far as batch users need it."""
