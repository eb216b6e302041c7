"""Runs tasks as processes of this machine, each in a folder of its own; there is no isolation."""
