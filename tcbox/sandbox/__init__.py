"""Carries out what strangers wrote, such as templates, in processes apart: neither their time, memory nor failure is the instance's."""

from tcbox.sandbox.faults import Exhausted, Fault, Late, Oversized
from tcbox.sandbox.pool import Limits, Pool

__all__ = ["Exhausted", "Fault", "Late", "Limits", "Oversized", "Pool"]
