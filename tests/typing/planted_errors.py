"""Slips that people make. Each line marked `planted` must be an error for mypy and for pyright, and no other line.

Read by both checkers, never run (tests/typing/test_typing_checkers.py).
"""

from flowbatch_dsl import Job, On, Resources, Task, ddp, mpi, ps

Task("w", "python train.py")  # planted: a command is a list, not a string
Task("w", ["x"], replica=3)  # planted: replicas
Task("w", ["x"], replicas="3")  # planted: a count is an int
Task("w", ["x"], after="ps")  # planted: a list of names
Task("w", ["x"], restart="never")  # planted: spelled as on the wire
Task("w", ["x"], env={"N": 1})  # planted: environment values are text
Task("w", ["x"], 3)  # planted: only name and command go by position
Task("w", ["x"], resources={"cpu": 1})  # planted: a Resources
Task("w", ["x"], on=[On("PodFaild", do="RestartJob")])  # planted: PodFailed
Task("w", ["x"], on=[On("PodFailed", do="restart_job")])  # planted: spelled as on the wire
On("PodFailed")  # planted: what to do is required
On(["PodFailed", "Evicted"], do="RestartJob")  # planted: PodEvicted
Resources(cpus=2)  # planted: cpu
Resources(2)  # planted: no positions
Resources(memory=["4Gi"])  # planted: a quantity
Job("a", tasks={"w": Task("w")})  # planted: a list of tasks
Job("a", tasks=[Job("b")])  # planted: tasks, not jobs
Job("a", plugins="svc")  # planted: a list of names
Job("a", que="ads")  # planted: queue
mpi("pi", "pi.py")  # planted: a command is a list
mpi("pi", ["pi.py"], flavor="lam")  # planted: mpich or openmpi
ps("ctr", ["x"], workers="4")  # planted: an int or a pair
ddp("llama", ["x"], nodes=(2, 4, 8))  # planted: a pair

job = Job("a", tasks=[Task("w", ["x"])])
job.but(minavailable=3)  # planted: min_available
job.but(queue=3)  # planted: a name
job.tasks[0].but(commands=["x"])  # planted: command
job.name = "b"  # planted: specs never change
job.tasks.append(Task("v"))  # planted: specs never change
job.submitt()  # planted: submit
job.submit(4)  # planted: a cluster or a kubeconfig
run = job.submit()
run.wait(timeout="1h")  # planted: seconds
run.logs("w", "0")  # planted: an index is an int
for line in run.logs("w"):
    print(line.txt)  # planted: text
