"""The methods of the service, a module a family."""
