"""A worker of XGBoost: rank 0 runs the tracker, all train one model on shards of their own."""

import os
import socket

import numpy as np
import xgboost as xgb
from xgboost.tracker import RabitTracker

rank, size = int(os.environ["DMLC_TASK_ID"]), int(os.environ["DMLC_NUM_WORKER"])
address, port = socket.gethostbyname(os.environ["DMLC_TRACKER_URI"]), int(os.environ["DMLC_TRACKER_PORT"])
tracker = RabitTracker(n_workers=size, host_ip=address, port=port) if rank == 0 else None
if tracker is not None:
    tracker.start()
with xgb.collective.CommunicatorContext(
    dmlc_tracker_uri=address, dmlc_tracker_port=port, dmlc_task_id=str(rank), dmlc_retry=30
):
    shard = np.random.default_rng(rank).random((200, 4))
    model = xgb.train({"tree_method": "hist"}, xgb.DMatrix(shard, shard @ [1, 2, 3, 4]), 5)
    guess = float(model.predict(xgb.DMatrix(np.full((1, 4), 0.5)))[0])
    print(f"rank {xgb.collective.get_rank()} of {xgb.collective.get_world_size()}: {guess:.3f}", flush=True)
if tracker is not None:
    tracker.wait_for()
