"""The index: names that stand for tasks, given by the tasks' own routes when they complete, or by calls."""
