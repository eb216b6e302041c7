"""Runs tasks in containers of a Docker engine."""
