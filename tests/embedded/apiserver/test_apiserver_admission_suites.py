"""Volcano's admission suites on the embedded API server, with flowbatch's rules at its door."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbatch.admission.admit import admit
from flowbatch.admission.crds import crds
from flowbatch.api.kinds import KINDS
from flowbatch.embedded.apiserver import ApiServer
from tests.admissionsuites import ROWS, Row
from tests.admissionworld import namespace, queue

BY_KIND = {(kind.api_version, kind.kind): kind for kind in KINDS}


@pytest.fixture
async def api(connect: Any) -> AsyncIterator[Any]:
    async with ApiServer(tls=False, admit=[admit]) as server:
        for crd in crds():
            await server.install(crd)
        api = connect(server)
        for each in (queue("root"), queue("default"), queue("ads"), queue("night")):
            await api.post("/apis/scheduling.volcano.sh/v1beta1/queues", each)
        await api.post("/api/v1/namespaces", namespace("night", "night"))
        yield api


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.suite}: {row.behaviour}" for row in ROWS])
async def test_volcanos_admission_suites(api: Any, row: Row) -> None:
    about = row.obj or row.old
    assert about is not None
    kind = BY_KIND[about["apiVersion"], about["kind"]]
    path = kind.path(row.namespace if kind.namespaced else None)
    if row.old is not None:
        assert (await api.post(path, placed(row.old, row))).status == 201
    answer = await write(api, path, row)
    if isinstance(row.wanted, str):
        assert answer.status == 422, answer.json
        assert any(field.startswith(row.wanted) for field in answer.fields), answer.json
        return
    assert answer.status in (200, 201), answer.json
    assert contains(answer.json.get("spec", {}), row.wanted)


async def write(api: Any, path: str, row: Row) -> Any:
    if row.old is None:
        return await api.post(path, placed(row.obj, row))
    place = f"{path}/{row.old['metadata']['name']}"
    if row.obj is None:
        return await api.delete(place)
    return await api.merge(place, {part: row.obj[part] for part in ("spec", "status") if part in row.obj})


def placed(obj: Any, row: Row) -> Any:
    made = copy.deepcopy(obj)
    if "namespace" in made["metadata"]:
        made["metadata"]["namespace"] = row.namespace
    return made


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], each) for key, each in part.items())
    return bool(whole == part)


def test_the_suites_are_whole() -> None:
    count = {suite: sum(row.suite == suite for row in ROWS) for suite in dict.fromkeys(row.suite for row in ROWS)}
    # Volcano's 12 cases of resource groups are in tests/pure/admission/test_admission_mutate.py; one case of a
    # JobFlow without `flows` is the same as one with none.
    assert count == {
        "hypernode": 10,
        "job defaults": 11,
        "job": 22,
        "job change": 4,
        "jobflow": 9,
        "pod": 10,
        "queue": 22,
        "queue defaults": 4,
        "podgroup": 6,
    }
