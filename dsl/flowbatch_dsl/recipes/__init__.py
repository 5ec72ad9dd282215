"""Ready-made shapes of jobs. Each returns a plain Job: print it, change it with `but`, or write your own."""
