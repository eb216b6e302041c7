"""How each service is made from what the instance shares: a module a service, imported when the service is made."""
