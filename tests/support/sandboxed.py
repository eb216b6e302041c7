"""What the tests of the sandbox have done apart: anything at all."""

import os


class WrongError(Exception):
    pass


def fail(question):
    raise WrongError(question["value"])


DOES = {"echo": lambda question: question["value"], "pid": lambda _: os.getpid(), "python": lambda question: eval(question["value"]), "fail": fail}
