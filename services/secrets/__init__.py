"""Secrets: small JSON documents under names, read by those with the scopes, kept sealed, gone when they expire."""
