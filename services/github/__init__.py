"""GitHub: tasks for pushes, pull requests and releases, and their results on the commits that they are for."""
