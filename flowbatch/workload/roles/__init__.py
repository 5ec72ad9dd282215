"""The job plugins of Volcano (svc, ssh, env, mpi, tensorflow, pytorch), each a pure function of job and pod."""
