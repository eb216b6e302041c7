"""The methods of the service, a file per family."""
