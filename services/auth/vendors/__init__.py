"""What gives short-lived credentials for services of other makers: AWS, Google Cloud, Sentry, GitHub, websocktunnel."""
