"""A job followed from outside: its states and its log, through lost connections and restarts.

What handles in Python and verbs on the command line share.
"""
