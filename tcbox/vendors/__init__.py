"""What parts of tcbox need to speak to services of other makers: HTTP, JSON web tokens, GitHub Apps."""
