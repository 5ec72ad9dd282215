"""Typed functions that run as steps of a flow: in a pod of their own there, as plain functions everywhere else."""

from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from types import FunctionType
from typing import Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

import msgspec
from msgspec.structs import force_setattr, replace

from flowbatch_dsl.frozen import freeze
from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import DEFAULT_IMAGE, Task
from flowbatch_dsl.workflows.building import RESULT, Arguments, Builder, current, refuse
from flowbatch_dsl.workflows.manifest import PATH, RUNNER
from flowbatch_dsl.workflows.node import Each, Node
from flowbatch_dsl.workflows.promise import Promise, has_value, source_of, step_of
from flowbatch_dsl.workflows.target import Unreachable, place_of, target_of
from flowbatch_dsl.workflows.values import ValueRefused, encoded, hints_of, plain, typed

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: The one task of a typed step.
TASK = "main"
_ASYNC = 0x80 | 0x200  # flags of coroutine functions and of async generators


class StepChanges(TypedDict, total=False):
    """What `step(...)` and `Step.but` may say: how the function runs as a pod."""

    name: str
    image: str
    resources: Resources
    retries: int
    backoff_s: int | None
    env: Mapping[str, str]
    workdir: str
    queue: str
    priority: str
    pod: Mapping[str, Any]
    pickle: bool


class _Options(msgspec.Struct, frozen=True):
    name: str = ""
    image: str = DEFAULT_IMAGE
    resources: Resources = Resources()
    retries: int = 0
    backoff_s: int | None = None
    env: Mapping[str, str] = {}
    workdir: str = ""
    queue: str = "default"
    priority: str = ""
    pod: Mapping[str, Any] = {}
    pickle: bool = False

    def __post_init__(self) -> None:
        for field in ("env", "pod"):
            force_setattr(self, field, freeze(getattr(self, field)))


class Step(Generic[P, R]):
    """What `@step` makes of a function. Called, it is the function; called while a flow is built, a step of it."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]

    def __init__(self, function: Callable[P, R], options: _Options, after: Sequence[Promise] = ()) -> None:
        if not isinstance(function, FunctionType):
            raise TypeError(f"@step is for functions, not for {type(function).__name__}")
        if function.__code__.co_flags & _ASYNC:
            raise TypeError(f"@step is for plain functions: {function.__qualname__} is async")
        update_wrapper(self, function)
        self._function = function
        self._options = options
        self._after = tuple(after)

    def __repr__(self) -> str:
        return f"<Step {self.__qualname__}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's result; in a flow that is being built, the promise of it."""
        builder = current()
        if builder is None:
            return cast("R", self._function(*args, **kwargs))
        arguments = Arguments(builder, self.__name__)
        for name, value in self._bound(args, kwargs).items():
            self._add(arguments, name, value)
        return cast("R", self._place(builder, arguments, None))

    def map(
        # No Step is a supertype of what binds T to the first parameter; the calls check all the same.
        self: "Callable[Concatenate[T, ...], R]",  # pyright: ignore[reportGeneralTypeIssues]
        items: Sequence[T],
        *,
        max_parallel: int | None = None,
        **fixed: Any,
    ) -> list[R]:
        """The results for each of `items` as the first argument, in their order; `fixed` are the other arguments.

        In a flow each item is a pod of its own, at most `max_parallel` of them at once. `items` is a list, or what
        another step gives.
        """
        builder = current()
        if builder is None:
            return [self(item, **fixed) for item in items]
        return cast("list[R]", cast("Step[..., R]", self)._mapped(builder, items, max_parallel, fixed))  # noqa: SLF001

    def after(self, *earlier: object) -> "Step[P, R]":
        """The same step, but not before `earlier` results of other steps are there, whether it takes them or not."""
        if current() is None:
            return self
        promises = [each for each in earlier if isinstance(each, Promise)]
        return Step(self._function, self._options, [*self._after, *promises])

    def but(self, **changes: Unpack[StepChanges]) -> "Step[P, R]":
        """The same function with another name, other resources, and so on."""
        return Step(self._function, replace(self._options, **changes), self._after)

    def _mapped(self, builder: Builder, items: Any, parallel: int | None, fixed: Mapping[str, Any]) -> Promise:
        arguments = Arguments(builder, self.__name__)
        first, *others = self._bound((None,), fixed).items()
        for name, value in others:
            self._add(arguments, name, value)
        return self._place(builder, arguments, self._each(builder, arguments, first[0], items, parallel))

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by the function's own names for them, without defaults. Raises SpecErrors as Python would."""
        from inspect import signature

        try:
            return dict(signature(self._function).bind(*args, **kwargs).arguments)
        except TypeError as problem:
            refuse(f'Step("{self.__name__}")', "arguments", str(problem))

    def _add(self, arguments: Arguments, name: str, value: Any) -> None:
        before = len(arguments.promises)
        arguments.add(name, value)
        hint = hints_of(self._function).get(name, Any)
        if len(arguments.promises) == before and not self._gathers(name):
            self._check(name, arguments.literals[name], hint)

    def _gathers(self, name: str) -> bool:
        """Whether `name` is `*args` or `**kwargs`."""
        code = self._function.__code__
        return name not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    def _check(self, name: str, value: Any, hint: Any) -> None:
        try:
            typed(value, hint)
        except ValueRefused as problem:
            refuse(f'Step("{self.__name__}")', "arguments", f"the argument {name} {problem}")

    def _each(self, builder: Builder, arguments: Arguments, name: str, items: Any, parallel: int | None) -> Each:
        if parallel is not None and parallel < 1:
            refuse(f'Step("{self.__name__}")', "forEach.maxParallel", "max_parallel must be at least 1")
        if isinstance(items, Promise):
            if not has_value(items):
                refuse(f'Step("{self.__name__}")', "forEach.from", f"{items!r} gives no list to map over")
            arguments.promises.append(builder.own(items))
            return Each(source=source_of(items), max_parallel=parallel)
        listed = list(items)
        if any(isinstance(item, Promise) for item in listed):
            hint = f"[{self.__name__}(each) for each in results], or one step that gives the whole list"
            refuse(f'Step("{self.__name__}")', "forEach.items", "a list to map over cannot hold promises", hint)
        try:
            values = [plain(item) for item in listed]
            for value in values:
                encoded(value)
        except ValueRefused as problem:
            refuse(f'Step("{self.__name__}")', "forEach.items", f"an item {problem}")
        hint = hints_of(self._function).get(name, Any)
        for value in values:
            self._check(name, value, hint)
        return Each(values, max_parallel=parallel)

    def _place(self, builder: Builder, arguments: Arguments, each: Each | None) -> Promise:
        options = self._options
        name = builder.name(options.name or self.__name__)
        for promise in self._after:
            builder.own(promise)
        node = Node(
            self._job(builder, name, arguments),
            after=[*arguments.after, *map(step_of, self._after)],
            inputs=arguments.inputs,
            outputs=[RESULT],
            each=each,
            retries=options.retries,
            backoff_s=options.backoff_s,
        )
        return builder.add(node, [*arguments.promises, *self._after])

    def _job(self, builder: Builder, name: str, arguments: Arguments) -> Job:
        options = self._options
        try:
            command, place, pod = self._pickled(builder, name) if options.pickle else self._imported()
        except Unreachable as problem:
            refuse(f'Step("{self.__name__}")', "command", str(problem))
        task = Task(
            TASK,
            ["python", "-m", RUNNER, *command],
            image=options.image,
            resources=options.resources,
            env={**options.env, **({PATH: place} if place else {}), **arguments.env()},
            workdir=options.workdir,
            pod=pod,
        )
        evicted = On("PodEvicted", do="RestartJob")
        return Job(name, queue=options.queue, priority=options.priority, tasks=[task], on=[evicted])

    def _imported(self) -> tuple[list[str], str, Mapping[str, Any]]:
        """The runner's words, what else the pod must be told, and the rest of its template."""
        target = target_of(self._function)
        return [str(target)], place_of(target.root), self._options.pod

    def _pickled(self, builder: Builder, name: str) -> tuple[list[str], str, Mapping[str, Any]]:
        """The same, with the function itself in a ConfigMap that goes along."""
        from flowbatch_dsl.workflows.pickling import config_map, mounted, pickled

        body = pickled(self._function)
        made = config_map(f"{builder.flow}-{name}", body)
        builder.objects.append(made)
        return ["--pickled"], "", mounted(self._options.pod, made["metadata"]["name"])


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(**options: Unpack[StepChanges]) -> "Callable[[Callable[P, R]], Step[P, R]]": ...
def step(function: Callable[P, R] | None = None, /, **options: Unpack[StepChanges]) -> Any:
    """`@step` or `@step(image="reg/etl:1", resources=Resources(cpu=4), retries=2)`: a function that flows run in pods.

    Its arguments and its result are JSON (whatever msgspec makes of their types), at most 4 KiB each: pass paths of
    larger things. The pod imports the function from its module, by `python -m flowbatch_dsl.runner MODULE:NAME`, so
    the image needs that module and flowbatch. `retries` is how often a failed step runs anew, the first time after
    `backoff_s` seconds. The other options are those of Task and Job.

    A function of a notebook cell cannot be imported: with `pickle=True` it goes along, pickled by cloudpickle (extra
    `flowbatch[notebook]`, here and in the image), at most 1 MiB, for the same minor version of Python only.
    """
    said = _Options(**options)
    return Step(function, said) if function is not None else lambda decorated: Step(decorated, said)
