"""Notify: mail, pulse, Matrix and Slack messages, when a task asks for them by its routes, or a caller by the API."""
