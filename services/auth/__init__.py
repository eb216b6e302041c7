"""The auth service: clients and roles, who signed a request, and credentials for services of other makers."""
