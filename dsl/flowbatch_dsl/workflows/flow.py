"""Functions that call steps: plain Python when they are called, a workflow when they are bound or submitted."""

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

import msgspec
from msgspec.structs import replace

from flowbatch_dsl.origin import caller
from flowbatch_dsl.workflows.building import Builder, building, current, dashed, marked, refuse
from flowbatch_dsl.workflows.promise import has_value, source_of
from flowbatch_dsl.workflows.values import ValueRefused, hints_of
from flowbatch_dsl.workflows.workflow import Workflow, placed

if TYPE_CHECKING:
    from flowbatch.api.meta import JsonObject
    from flowbatch_dsl.clusters import ClusterLike
    from flowbatch_dsl.report import Report
    from flowbatch_dsl.workflows.async_run import AsyncFlowRun
    from flowbatch_dsl.workflows.run import FlowRun

P = ParamSpec("P")
R = TypeVar("R")

#: What the flow's function returned, as JSON, promises by "STEP.OUTPUT": an annotation of the JobFlow.
RESULT_NOTE = "flowbatch.dev/result"


class FlowChanges(TypedDict, total=False):
    """What `flow(...)` and `Flow.but` may say."""

    name: str
    namespace: str
    labels: Mapping[str, str]


class _Options(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = {}


class BoundFlow(Workflow, Generic[R], frozen=True, kw_only=True, dict=True):
    """A workflow that a @flow made; its result is an R: `returns`, as the function says it. `flow` is what made it."""

    returns: Any = Any
    flow: Any = None

    @property
    def parts(self) -> tuple[object, ...]:
        """The flow that it is bound from: `flowbatch run FILE.py` does not run it as well."""
        return (self.flow,)

    def submit(self, cluster: "ClusterLike | None" = None) -> "FlowRun[R]":
        """Create the workflow and return a handle on it, whose `result()` is what the function would return."""
        return super().submit(cluster)

    async def asubmit(self, cluster: "ClusterLike | None" = None) -> "AsyncFlowRun[R]":
        """`submit` for async code."""
        return await super().asubmit(cluster)


class Flow(Generic[P, R]):
    """What `@flow` makes of a function."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]

    def __init__(self, function: Callable[P, R], options: _Options) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = options

    def __repr__(self) -> str:
        return f"<Flow {self.__qualname__}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's result, computed here and now; in a flow that is being built, a part of that."""
        return self._function(*args, **kwargs)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> BoundFlow[R]:
        """The workflow for these arguments: the function runs once, and its steps are noted instead of run.

        Raises SpecErrors and PromiseError, with the line of your file, for what no workflow can do.
        """
        if current() is not None:
            refuse(f'Flow("{self.__name__}")', "spec.flows", "bind() in a flow that is being built", "call it")
        origin = caller()
        name = self._options.name or dashed(self.__name__)
        with building(Builder(name)) as builder:
            returned: Any = self._function(*args, **kwargs)
            note = self._note(builder, returned)
        made: BoundFlow[R] = BoundFlow(
            name,
            builder.nodes,
            namespace=self._options.namespace,
            labels=self._options.labels,
            annotations={RESULT_NOTE: note},
            objects=[_in_namespace(each, self._options.namespace) for each in builder.objects],
            returns=hints_of(self._function).get("return", Any),
            flow=self,
        )
        placed(made, origin)
        return made

    def _note(self, builder: Builder, returned: Any) -> str:
        try:
            shape = marked(returned, lambda promise: source_of(promise) if has_value(builder.own(promise)) else "")
        except ValueRefused as problem:
            refuse(f'Flow("{self.__name__}")', "return", f"what it returns {problem}")
        return msgspec.json.encode(shape).decode()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> "FlowRun[R]":
        """`bind(...).submit()`: run it on the one open LocalCluster, else on the kubeconfig's current context."""
        return self.bind(*args, **kwargs).submit()

    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> "AsyncFlowRun[R]":
        """`submit` for async code."""
        return await self.bind(*args, **kwargs).asubmit()

    def but(self, **changes: Unpack[FlowChanges]) -> "Flow[P, R]":
        """The same function as a flow of another name, or in another namespace."""
        return Flow(self._function, replace(self._options, **changes))

    @property
    def runnable(self) -> bool:
        """Whether it can be bound without arguments: then `flowbatch run FILE.py` takes it as it is."""
        from inspect import Parameter, signature

        spread = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        needed = [p for p in signature(self._function).parameters.values() if p.kind not in spread]
        return all(parameter.default is not Parameter.empty for parameter in needed)

    def manifests(self) -> "list[JsonObject]":
        """What `submit()` would create, where every argument has a default."""
        return self._default().manifests()

    def submission(self) -> "list[JsonObject]":
        """The same, for pods that may start in another directory than this one."""
        return self._default().submission()

    def validate(self) -> "Report":
        """Every problem of the workflow that the defaults make."""
        return self._default().validate()

    def _default(self) -> BoundFlow[R]:
        if not self.runnable:
            hint = f"bind them: nightly = {self.__name__}.bind(...)"
            refuse(f'Flow("{self.__name__}")', "arguments", "has parameters without a default", hint)
        return cast("Callable[[], BoundFlow[R]]", self.bind)()


def _in_namespace(manifest: "JsonObject", namespace: str) -> "JsonObject":
    place = {"namespace": namespace} if namespace else {}
    return {**manifest, "metadata": {**manifest["metadata"], **place}}


@overload
def flow(function: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(**options: Unpack[FlowChanges]) -> "Callable[[Callable[P, R]], Flow[P, R]]": ...
def flow(function: Callable[P, R] | None = None, /, **options: Unpack[FlowChanges]) -> Any:
    """`@flow` or `@flow(name="nightly")`: a function that calls steps.

    Called, it runs here as plain Python, for tests. `bind(...)` gives the workflow for some arguments, `submit(...)`
    runs that on a cluster. While it is bound, the flow's own arguments are values, and what steps give are promises:
    pass them to steps, `.map` over them, decide by them with `when`.
    """
    said = _Options(**options)
    return Flow(function, said) if function is not None else lambda decorated: Flow(decorated, said)
