"""Objects: immutable bytes under names, uploaded and downloaded straight from where blobs are kept, until they expire."""
