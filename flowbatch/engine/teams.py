"""Sub-gangs: members that a sub-group policy puts together, to go in whole or not at all, each in a place of its own.

A team is cut from the gang's pods by the labels that the policy names. Which teams the minimum needs is decided here:
those that run in part, then as many as each policy demands, then as many as the gang's and its tasks' minima want.
Both minima hold: `minSubGroups` says how many teams must start together, `minMember` how many members.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowbatch.model.blockers import Blocker, NeedsMembers
from flowbatch.model.facts import SubGroups
from flowbatch.model.gangs import PLACED, Gang, Task, key_of
from flowbatch.model.lifecycle import TaskState

if TYPE_CHECKING:
    from flowbatch.engine.standing import Part


@dataclass(slots=True, eq=False)
class Team:
    """One sub-gang."""

    #: Which of the gang's policies cut it, and by which values.
    group: int
    rule: SubGroups
    values: tuple[str, ...]
    tasks: list[Task] = field(default_factory=list)
    #: Its pending tasks with requests.
    parts: "list[Part]" = field(default_factory=list)
    #: Members that have their place, or had it and succeeded.
    ready: int = 0
    #: Members without requests, which are placed by themselves.
    light: int = 0
    #: The gang's minimum needs it.
    planned: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return "/".join((self.rule.name or str(self.group), *self.values))

    @property
    def lacking(self) -> int:
        """How many more must go in, together."""
        return max(0, self.rule.size - self.ready - self.light)

    @property
    def started(self) -> bool:
        """Some member has its place; the others follow it one by one."""
        return any(task.state in PLACED for task in self.tasks)

    @property
    def complete(self) -> bool:
        """As many members exist as must go in."""
        return sum(len(part.tasks) for part in self.parts) >= self.lacking

    def short(self) -> NeedsMembers:
        """Why it cannot go in while it is not complete."""
        have = self.ready + self.light + sum(len(part.tasks) for part in self.parts)
        return NeedsMembers(have, self.rule.size, self.name)

    def asking(self) -> "list[Part]":
        """What must go in, in the order of its members."""
        left, asked = self.lacking, []
        for part in self.parts:
            some = min(left, len(part.tasks))
            left -= some
            if some:
                asked.append(type(part)(part.role, part.shape, part.tasks, some, self))
        return asked


class Teams:
    """All teams of one gang, in order, and whose every task is."""

    def __init__(self, gang: Gang) -> None:
        self.of: dict[str, Team] = {}
        rules = gang.fact.sub_groups if gang.fact else ()
        by_key: dict[tuple[int, tuple[str, ...]], Team] = {}
        for task in gang.tasks.values() if rules else ():
            if task.state is TaskState.FAILED:
                continue
            key = key_of(task, rules)
            if key is None:
                continue
            team = by_key.get(key)
            if team is None:
                team = by_key[key] = Team(key[0], rules[key[0]], key[1])
            self.of[task.fact.uid] = team
            team.tasks.append(task)
            team.ready += task.state in PLACED or task.state is TaskState.SUCCEEDED
            team.light += task.state is TaskState.PENDING and task.shape.best_effort and not task.fact.gated
        self.all = sorted(by_key.values(), key=lambda team: (team.group, *map(natural, team.values)))

    def plan(self, gang: Gang, lack: dict[str, int], need: int) -> int | Blocker:
        """Mark the teams, and their members, that the minimum needs. Returns how many members it needs besides."""
        rules = gang.fact.sub_groups if gang.fact else ()
        wanted = [max(0, rule.minimum - self._whole(group)) for group, rule in enumerate(rules)]
        for team in sorted(self.all, key=lambda team: not team.started):
            if wanted[team.group] and team.lacking and team.complete:
                wanted[team.group] -= 1
                need -= _take(team, lack)
        for group, missing in enumerate(wanted):
            if missing:
                rule = rules[group]
                have = sum(team.ready + sum(len(part.tasks) for part in team.parts) for team in self.all_of(group))
                return NeedsMembers(min(have, rule.minimum * rule.size - 1), rule.minimum * rule.size, rule.name)
        for team in sorted(self.all, key=lambda team: not team.started):
            useful = need > 0 or any(lack.get(part.role.name, 0) > 0 for part in team.parts)
            if useful and team.lacking and team.complete and not team.planned:
                need -= _take(team, lack)
        return need

    def all_of(self, group: int) -> list[Team]:
        """Teams of one policy."""
        return [team for team in self.all if team.group == group]

    def _whole(self, group: int) -> int:
        return sum(not team.lacking for team in self.all_of(group))


def _take(team: Team, lack: dict[str, int]) -> int:
    """The minimum needs `team`; how many members it brings."""
    team.planned = True
    musts = {id(asked.tasks): asked.must for asked in team.asking()}
    for part in team.parts:
        part.must = musts.get(id(part.tasks), 0)
        lack[part.role.name] = lack.get(part.role.name, 0) - part.must
    return team.lacking


def natural(value: str) -> tuple[int, int, str]:
    """Numbers by size, then words."""
    return (0, int(value), "") if value.isdecimal() and len(value) < 19 else (1, 0, value)
