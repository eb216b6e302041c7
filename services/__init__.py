"""The services, one package each; they know each other only through `tcbox.client` and `tcbox.events`."""
