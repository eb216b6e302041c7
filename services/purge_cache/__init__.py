"""Purge-cache: requests that workers throw a cache away, which they look at before they use one."""
