"""The xgboost plugin: the variables of XGBoost's tracker (Kubeflow Trainer: xgboost policy). Volcano has none.

Rank 0 runs the tracker (`xgboost.tracker.RabitTracker`) beside its own share of the work; everybody finds it by name.
"""

from collections.abc import Mapping
from typing import ClassVar

from flowbatch.workload.roles.flags import Flag
from flowbatch.workload.roles.ranks import Ranked


class XgBoost(Ranked):
    """DMLC_TRACKER_URI, DMLC_TRACKER_PORT, DMLC_NUM_WORKER and DMLC_TASK_ID."""

    name: ClassVar[str] = "xgboost"
    flags: ClassVar[Mapping[str, Flag]] = {**Ranked.flags, "port": 9091}
    port_name: ClassVar[str] = "xgbjob-port"

    def variables(self, host: str, port: int, rank: int, size: int) -> Mapping[str, object]:
        """The tracker's names."""
        tracker = {"DMLC_TRACKER_URI": host, "DMLC_TRACKER_PORT": port}
        return {**tracker, "DMLC_NUM_WORKER": size, "DMLC_TASK_ID": rank}
