"""The published methods, a module per family of end-points."""
