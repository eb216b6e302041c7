"""The methods of the auth service, a file per family."""
