"""The volumes of a job: where they are mounted, and what they are."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.rules import names
from flowbatch.workload.rules.reading import dict_of, dicts_of, text_of


def check_volumes(manifest: JsonObject) -> Iterator[SpecError]:
    """spec.volumes of a job."""
    seen: dict[str, int] = {}
    for index, volume in dicts_of(dict_of(manifest, "spec"), "volumes"):
        path, at = f"spec.volumes[{index}]", text_of(volume, "mountPath")
        if not at:
            yield SpecError(f"{path}.mountPath", "is missing")
        elif ":" in at:
            yield SpecError(f"{path}.mountPath", "must not contain ':'", at)
        elif at in seen:
            yield SpecError(f"{path}.mountPath", f"is mounted by spec.volumes[{seen[at]}] already", at)
        seen.setdefault(at, index)
        claim = text_of(volume, "volumeClaimName")
        if not claim and not volume.get("volumeClaim"):
            yield SpecError(path, "must have a volumeClaimName or a volumeClaim")
        if claim:
            yield from names.named(f"{path}.volumeClaimName", claim, names.label_problem(claim))
