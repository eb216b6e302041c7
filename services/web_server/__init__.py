"""Web-server: sign-in with a browser, credentials for web tools on a user's behalf, and profiles of tasks."""
