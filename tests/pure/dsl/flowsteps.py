"""Steps and flows as an author writes them, in a module that pods (and tests of the runner) can import."""

import msgspec

from flowbatch_dsl import Resources, flow, step, when


class Model(msgspec.Struct):
    path: str
    loss: float


@step(image="reg/etl:1", resources=Resources(cpu=4))
def shard(path: str, n: int) -> list[str]:
    return [f"{path}/{i}" for i in range(n)]


@step(retries=2, backoff_s=5)
def score(part: str, lr: float = 0.1) -> float:
    return len(part) * lr


@step
def best(xs: list[float]) -> float:
    return max(xs)


@step
def train(path: str, rates: list[float], *, note: str = "") -> Model:
    return Model(path + note, sum(rates))


@step
def publish(model: Model) -> str:
    return f"published {model.path} at {model.loss}"


@step
def report(published: str | None, *scores: float, **named: float) -> dict[str, float]:
    return {"published": float(published is not None), "scores": sum(scores), **named}


@step
def shout(text: str) -> str:
    return text.upper()


@step
def by_number(names: dict[int, str]) -> dict[int, str]:
    return {number + 1: name for number, name in names.items()}


@step
def pair() -> tuple[int, tuple[float, str]]:
    return 1, (2.0, "a")


@step
def endless() -> float:
    return float("inf")


@step
def nothing() -> None:
    return None


@step
def large() -> str:
    return "x" * 5000


@step
def wrong() -> float:
    return "text"  # type: ignore[return-value]


@step
def boom(what: str) -> float:
    raise ValueError(f"no {what}\nat all")


@flow
def pipeline(path: str, n: int = 8) -> float:
    return best(score.map(shard(path, n=n), max_parallel=4, lr=0.2))


@flow
def nested(path: str = "p") -> tuple[Model, dict[str, float]]:
    model = train(path, [score("a"), score("bc"), 0.5], note="$$(HOME)")
    published = (when(score("abc")) > 0.2).then(publish, model)
    return model, report(published, score("x"), 1.0, extra=score("yy"))


@flow(name="of-two", labels={"team": "a"})
def composed() -> list[float]:
    return [pipeline("a", 2), pipeline("bc", 3)]
