"""Wire types, spelled as Kubernetes spells them; pure."""
