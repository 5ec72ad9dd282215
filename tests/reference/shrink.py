"""Smaller cases that still fail: facts are left out one by one, and numbers of members brought down."""

from collections.abc import Callable

import msgspec

from flowbatch.engine.events import Event, GangSeen, PodSeen

Fails = Callable[[list[Event]], bool]


def shrink(facts: list[Event], fails: Fails) -> list[Event]:
    """The smallest that can be found by leaving out one thing at a time."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _candidates(facts):
            if fails(candidate):
                facts, smaller = candidate, True
                break
    return facts


def _candidates(facts: list[Event]) -> list[list[Event]]:
    result = []
    for i, fact in enumerate(facts):
        rest = facts[:i] + facts[i + 1 :]
        if isinstance(fact, GangSeen):
            result.append([each for each in rest if not (isinstance(each, PodSeen) and each.gang == fact.id)])
            continue
        result.append(rest)
        if isinstance(fact, PodSeen) and fact.gang is not None:
            result.append([_fewer(each, fact.gang) for each in rest])
    return result


def _fewer(fact: Event, gang: str) -> Event:
    if isinstance(fact, GangSeen) and fact.id == gang:
        return msgspec.structs.replace(fact, min_members=fact.min_members - 1)
    return fact
