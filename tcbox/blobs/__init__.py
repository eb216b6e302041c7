"""Artifact bytes, in local files or in S3: written and read in streams, or straight by clients over signed URLs."""

from tcbox.blobs.connect import connect
from tcbox.blobs.interface import ALGORITHMS, Blobs, HashMismatch, Incomplete, Interrupted, NoSuchBlob, Sealed, Stat

__all__ = ["ALGORITHMS", "Blobs", "HashMismatch", "Incomplete", "Interrupted", "NoSuchBlob", "Sealed", "Stat", "connect"]
