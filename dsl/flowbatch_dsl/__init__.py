"""The public face for job authors: typed, frozen values that describe jobs, and handles on running ones."""
