"""The task queues built-in/succeed and built-in/fail: tasks without a payload that end at once."""
