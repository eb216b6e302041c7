"""What reads and renders files that anybody may have written: a program of its own, with bounds on memory and time.

A template may ask for more memory than there is, or never end. So each is rendered by a process that can be ended
without harm. The modules here import nothing of tcbox but each other, so that it starts fast.
"""
