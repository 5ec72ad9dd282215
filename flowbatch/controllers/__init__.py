"""The I/O shells around `flowbatch.workload`: work queues, informers in, requests out."""
