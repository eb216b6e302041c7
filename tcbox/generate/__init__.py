"""Typed clients, written from an instance's references: what it answers, in the words of Python, TypeScript and Go.

`fetching` reads the references, `model` holds them as values, `schemas` makes types of the JSON schemas that belong to
no language, and one writer a language puts them down. Nothing here knows a service: an instance with methods of its own,
or of another version, gets a client that fits it.
"""
