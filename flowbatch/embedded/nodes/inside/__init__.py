"""What runs beside and below the pods, in processes of its own.

Everything here but `network` is standard library only and imports nothing heavy: one lean interpreter starts, and
every pod's first process is a fork of it. Nothing here talks to an API server.
"""
