"""The workers inside; like any worker elsewhere they speak only the public API."""
