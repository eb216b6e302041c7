"""Tasks and their logs as profiles, which the Firefox Profiler shows."""
