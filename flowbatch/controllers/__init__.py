"""Controllers of jobs, pod groups, queues and commands: I/O around flowbatch.workload."""
