"""What is let in: CRDs, CEL and the admit function, all from one table of rules."""
