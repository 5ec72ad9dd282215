"""Jobs of other makers as Jobs of ours: batch/v1 Job, MPIJob, JobSet and TrainJob.

Each converter reads all of the original; what it does not ask for is reported as lost (`fields`), so that nobody
finds out in production what a conversion left behind. Sources: Kubernetes' batch/v1, kubeflow.org/v2beta1 (mpi-operator
0.6), jobset.x-k8s.io/v1alpha2 (0.8), trainer.kubeflow.org/v1alpha1 (2.0).
"""

from collections.abc import Callable, Sequence

import msgspec

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.workload.convert.batch_job import convert_batch_job
from flowbatch.workload.convert.fields import Fields, Findings, Lost
from flowbatch.workload.convert.job_set import convert_job_set
from flowbatch.workload.convert.mpi_job import convert_mpi_job
from flowbatch.workload.convert.train_job import RUNTIMES, convert_train_job

__all__ = ["KINDS", "Converted", "Lost", "convert"]

_Converter = Callable[[Fields, Sequence[JsonObject]], JsonObject]
_CONVERTERS: dict[tuple[str, str], _Converter] = {
    ("batch/v1", "Job"): lambda fields, _: convert_batch_job(fields),
    ("kubeflow.org/v2beta1", "MPIJob"): lambda fields, _: convert_mpi_job(fields),
    ("jobset.x-k8s.io/v1alpha2", "JobSet"): lambda fields, _: convert_job_set(fields),
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"): convert_train_job,
}
KINDS = tuple(f"{kind} ({version})" for version, kind in _CONVERTERS)


class Converted(msgspec.Struct, frozen=True):
    """A batch.volcano.sh/v1alpha1 Job, what it was made from, and what of that it does not do."""

    origin: str
    job: JsonObject
    lost: tuple[Lost, ...] = ()


def convert(manifests: Sequence[JsonObject]) -> list[Converted]:
    """Every manifest of a known kind as a Job, in order; training runtimes are looked up among `manifests`.

    Raises SpecErrors that names every manifest of another kind and every field that cannot be read.
    """
    found: list[Converted] = []
    problems: list[SpecError] = []
    for manifest in manifests:
        key = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
        if key in RUNTIMES:
            continue
        if (converter := _CONVERTERS.get(key)) is None:
            problems.append(_unknown(*key))
            continue
        findings = Findings()
        fields = findings.root(manifest)
        origin = f"{key[1]}/{_name(manifest)}"
        try:
            job = converter(fields, manifests)
        except SpecErrors as error:
            findings.problems += error
        else:
            findings.close()
            found.append(Converted(origin, job, tuple(findings.lost)))
        problems += [
            SpecError(f"{origin} {each.path}", each.problem, each.value, each.hint) for each in findings.problems
        ]
    if problems:
        raise SpecErrors(problems, "conversion")
    return found


def _name(manifest: JsonObject) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "?")) if isinstance(metadata, dict) else "?"


def _unknown(version: str, kind: str) -> SpecError:
    wanted = f"{kind} ({version})"
    return SpecError(wanted, "is no kind that can be converted", hint=did_you_mean(wanted, KINDS))
