"""Slips in workflows and flows. Each line marked `planted` must be an error for both checkers, and no other line."""

from flowbatch_dsl import Each, Job, Node, Task, When, Workflow, flow, gang, jax, ray, step, sweep, when

a, b = Job("a", tasks=[Task("w", ["x"])]), Job("b", tasks=[Task("w", ["x"])])

a >> "b"  # planted: jobs, not names
a >> Task("w")  # planted: jobs, not tasks
[1, 2] >> b  # planted: jobs, not names
Workflow("w", "a")  # planted: a graph
Workflow(a >> b)  # planted: a name comes first
Workflow("w", a >> b, retain="keep")  # planted: retain or delete
Workflow("w", a >> b).but(nam="v")  # planted: name
Workflow("w", a >> b).name = "v"  # planted: workflows never change
Node("a")  # planted: a job
Node(a, after="b")  # planted: a list of names
Node(a, after_ends=["Succeeded"])  # planted: Completed
Node(a, retry=2)  # planted: retries
Node(a, when=[When("b.loss", "<", [1])])  # planted: an operator as on the wire
Node(a, inputs={"LOSS": 1})  # planted: STEP.OUTPUT
Node(a, backoff_s="2s")  # planted: an int
jax("j", "train.py")  # planted: a command is a list
jax("j", ["x"], process=4)  # planted: processes
ray("r", ["x"], workers=(1, 2, 3))  # planted: a pair
ray("r", ["x"], head={"cpu": 1})  # planted: a Resources
sweep("s", a, lr=[1])  # planted: a function that makes jobs
sweep("s", lambda lr: a, lr=1)  # planted: a list
sweep("s", lambda lr: "a", lr=[1])  # planted: jobs
gang("a")  # planted: a job
gang(a, output="loss")  # planted: what it is in plain Python
Each(max_parallel="2")  # planted: an int


@step
def score(part: str, lr: float = 0.1) -> float:
    return len(part) * lr


@step
def best(xs: list[float]) -> float:
    return max(xs)


@step(images="x")  # planted: image
def typo() -> None: ...


@flow
def pipeline(path: str) -> float:
    score(3)  # planted: text
    score("a", rate=1)  # planted: lr
    best(score("a"))  # planted: a list
    score.map([1, 2])  # planted: texts
    score.map("a", max_parallel="2")  # planted: an int
    (when(score("a")) < 0.5).then(best, score("a"))  # planted: a list
    _ = when(score("a")) <= 0.5  # planted: only < and >
    return best.map([[1.0]])  # planted: a float, not a list


pipeline.bind(3)  # planted: text
pipeline.bind("a", m=1)  # planted: no such parameter
wrong: str = pipeline("a")  # planted: a float
score.but(image=3)  # planted: a name
pipeline.submitt("a")  # planted: submit
text: str = pipeline.submit("a").result()  # planted: a float
pipeline.submit(3)  # planted: text
run = Workflow("w", a >> b).submit()
run.wait(timeout="1h")  # planted: seconds
run.logs("a", "0")  # planted: an index is an int
print(run.status().steps[0].stat)  # planted: state
