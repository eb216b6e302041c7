"""Hooks: templates of tasks, and what has tasks made of them: a schedule, a call, a token, a message."""
