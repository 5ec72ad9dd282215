"""Data that a pod needs before it starts, and data that must outlive it."""

from typing import Literal

import msgspec


class _Fetched(msgspec.Struct, frozen=True):
    url: str
    path: str


class Fetch(_Fetched, frozen=True, kw_only=True):
    """`Fetch("s3://bucket/train.csv", "/data/train.csv")`: fetched before the containers start, read-only for them.

    A url is of a file of the node (`file:///data/x`), of http(s), or of any storage that fsspec knows; one that ends in
    "/" is a whole directory. `{index}`, `{task}` and `{job}` in it are the pod's. `name` is the end of the path, if
    not given. `digest` ("sha256:...") is what it must be; without one, what was fetched first. `secret` names a Secret
    with the fetcher's environment (AWS_ACCESS_KEY_ID, FSSPEC_S3_ENDPOINT_URL, ...).
    """

    name: str = ""
    digest: str = ""
    secret: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", name_of(self.path))


class _Stored(msgspec.Struct, frozen=True):
    path: str
    url: str


class Store(_Stored, frozen=True, kw_only=True):
    """`Store("/out/model.bin", "s3://bucket/{job}/model.bin")`: stored when the containers have succeeded.

    A path that ends in "/" is a whole directory; any other is a file in a directory of its own. Where a task has
    several pods the url needs `{index}`. With `policy="Always"` it is stored however the containers ended. A pod whose
    output cannot be stored has failed.
    """

    name: str = ""
    policy: Literal["", "OnSuccess", "Always"] = ""
    secret: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", name_of(self.path))


class _Placed(msgspec.Struct, frozen=True):
    path: str


class Workspace(_Placed, frozen=True, kw_only=True):
    """`Workspace("/work", size="10Gi")`: a volume that all jobs of a workflow share, mounted at `path`.

    It is made with the workflow and deleted with it; with `keep=True` it stays. `claim` names one that is there
    already, in place of `size` and `storage_class`; together with `size`, it is the name of the one that is made.
    """

    size: str = ""
    storage_class: str = ""
    claim: str = ""
    keep: bool = False

    def __post_init__(self) -> None:
        if not self.claim and not self.size:
            msgspec.structs.force_setattr(self, "size", "1Gi")


def name_of(path: str) -> str:
    """The end of a path as a name that Kubernetes takes: "/data/Train_1.csv" is train-1-csv."""
    end = path.rstrip("/").rpartition("/")[2].lower()
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in end).strip("-")[:63]
