"""The same instance as processes of their own: for Kubernetes, for one host with Compose, or as values of the published chart.

`plan` says what is to run, from the settings alone; the targets write that down; `tree` keeps the files, `rolls` compares two of them.
"""
