"""What an instance is set up with: roles, clients, hooks, worker pools, secrets; as values, as files, read from an instance and put into one."""
