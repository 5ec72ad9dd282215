"""The program beside a job's containers that fetches inputs before they start and stores outputs after they ended.

It runs in pods, knows nothing of Kubernetes, and says what it did in its termination message. Any place that fsspec
knows will do: files of the node, http(s), s3 with the extra `s3`.
"""
