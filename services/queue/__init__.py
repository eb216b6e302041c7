"""The queue: takes tasks, hands them to workers, and sees each of them to its resolution."""
