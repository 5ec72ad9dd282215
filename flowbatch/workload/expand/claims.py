"""The volumes of a job: claims that exist already, and claims that the job brings along."""

from hashlib import sha256

from flowbatch.api.batch import Job, VolumeSpec
from flowbatch.api.meta import JsonObject
from flowbatch.workload.roles.contract import owned


def claim_name(job: Job, index: int) -> str:
    """The claim of volume `index`. One without a name gets one that is always the same for this job.

    Volcano draws a random one and writes it into the spec; ours needs no write and cannot be drawn twice.
    """
    volume = job.spec.volumes[index]
    if volume.volume_claim_name:
        return volume.volume_claim_name
    digest = sha256(f"{job.metadata.uid}/{index}".encode()).hexdigest()
    return f"job-pvc-{digest[:12]}"


def claims(job: Job) -> list[JsonObject]:
    """Manifests of the claims that the job brings along."""
    return [
        owned(job, "v1", "PersistentVolumeClaim", claim_name(job, index), spec=volume.volume_claim)
        for index, volume in enumerate(job.spec.volumes)
        if volume.volume_claim is not None
    ]


def wanted_claims(job: Job) -> list[str]:
    """Names of the claims that must exist already."""
    return [volume.volume_claim_name for volume in job.spec.volumes if _is_given(volume)]


def _is_given(volume: VolumeSpec) -> bool:
    return bool(volume.volume_claim_name) and volume.volume_claim is None
