"""Worker manager: pools of workers, who may be a worker, and how many of them there should be."""
