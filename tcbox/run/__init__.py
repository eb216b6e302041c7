"""Runs a repository's CI on this machine: from the work tree, dirty or not, to a whole graph of tasks, green or red."""
