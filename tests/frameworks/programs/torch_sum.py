"""A rank of torch.distributed: everybody's rank, summed over gloo."""

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
mine = torch.tensor([float(dist.get_rank())])
dist.all_reduce(mine)
print(f"rank {dist.get_rank()} of {dist.get_world_size()}: {mine.item():g}", flush=True)
dist.barrier()
dist.destroy_process_group()
