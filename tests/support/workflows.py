"""Runs CI files as their systems do: jobs and composite actions of GitHub Actions, jobs of GitLab CI.

Only what the files of this project need, and no more: an expression, a key or an action that is not known here is an error, as a misspelt one is there.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_STEP = {"name", "id", "if", "uses", "with", "run", "shell", "env"}


class GitHub:
    """One job on one runner.

    Args:
        actions: for the names in `uses`, without what follows the @, the folders of actions; None for one that is passed over.
        env: of the runner, with a PATH.

    Attributes:
        log: all that was printed, with what was masked made unreadable.
    """

    def __init__(self, folder: Path, workspace: Path, actions: dict[str, Path | None], env: dict[str, str]) -> None:
        self._files = folder
        self._workspace = workspace
        self._actions = actions
        self._env = dict(env)
        self._path = ""
        self._masks: list[str] = []
        self.log = ""
        self.status = "success"
        (folder / "temp").mkdir(parents=True)

    def run(self, job: dict[str, Any]) -> str:
        """Run all steps, and give the job's status."""
        assert set(job) <= {"runs-on", "steps", "env", "name"}, job
        outputs: dict[str, dict[str, str]] = {}
        for step in job["steps"]:
            self._step(step, {}, outputs)
        return self.status

    def _step(self, step: dict[str, Any], inputs: dict[str, str], outputs: dict[str, dict[str, str]]) -> None:
        assert set(step) <= _STEP, f"a step knows no {set(step) - _STEP}"
        if not self._wanted(step.get("if", ""), inputs):
            return
        if "uses" in step:
            self._action(step, outputs)
            return
        files = {name: self._files / f"github_{name.lower()}" for name in ("ENV", "OUTPUT", "PATH")}
        for path in files.values():
            path.write_text("")
        env = {key: self._value(value, inputs, outputs) for key, value in step.get("env", {}).items()}
        script = self._files / "script.sh"
        script.write_text(self._value(step["run"], inputs, outputs))
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script], cwd=self._workspace, capture_output=True, text=True, timeout=300,
            env={**self._env, "RUNNER_TEMP": str(self._files / "temp"), "GITHUB_ACTION_PATH": self._path, **{f"GITHUB_{name}": str(path) for name, path in files.items()}, **env},
        )  # fmt: skip
        self._read(done.stdout + done.stderr)
        if done.returncode:
            self.status = "failure"
        self._env |= _pairs(files["ENV"])
        self._env["PATH"] = ":".join([*reversed(files["PATH"].read_text().split()), self._env["PATH"]])
        if "id" in step:
            outputs[step["id"]] = _pairs(files["OUTPUT"])

    def _action(self, step: dict[str, Any], outputs: dict[str, dict[str, str]]) -> None:
        name, at, _ = step["uses"].partition("@")
        assert at, f"{step['uses']} names no version"
        folder = self._actions[name]
        if folder is None:
            return
        action = yaml.safe_load((folder / "action.yml").read_text())
        known, given = action.get("inputs", {}), step.get("with", {})
        assert set(given) <= set(known), f"{name} has no input {set(given) - set(known)}"
        inputs = {key: self._value(str(given.get(key, about.get("default", ""))), {}, outputs) for key, about in known.items()}
        assert action["runs"]["using"] == "composite"
        inner: dict[str, dict[str, str]] = {}
        self._path = str(folder)
        for each in action["runs"]["steps"]:
            assert "run" not in each or "shell" in each, "a step of an action must name its shell"
            self._step(each, inputs, inner)
        self._path = ""
        if "id" in step:
            outputs[step["id"]] = {key: self._value(about["value"], inputs, inner) for key, about in action.get("outputs", {}).items()}

    def _wanted(self, condition: str, inputs: dict[str, str]) -> bool:
        if condition == "always()":
            return True
        if self.status != "success":
            return False
        compared = re.fullmatch(r"inputs\.([\w-]+) != ''", condition)
        assert compared or not condition, condition
        return not compared or inputs[compared[1]] != ""

    def _value(self, text: Any, inputs: dict[str, str], outputs: dict[str, dict[str, str]]) -> str:
        def found(match: re.Match[str]) -> str:
            parts = match[1].split(".")
            if parts == ["job", "status"]:
                return self.status
            if parts[0] == "inputs":
                return inputs[parts[1]]
            assert parts[0] == "steps", match[0]
            assert parts[2] == "outputs", match[0]
            return outputs[parts[1]][parts[3]]

        return _EXPRESSION.sub(found, str(text))

    def _read(self, said: str) -> None:
        self._masks += re.findall(r"^::add-mask::(.+)$", said, re.MULTILINE)
        said = re.sub(r"^::add-mask::.+\n", "", said, flags=re.MULTILINE)
        for mask in self._masks:
            said = said.replace(mask, "***")
        self.log += said


def gitlab(workspace: Path, pipeline: str, job: str, env: dict[str, str]) -> tuple[int, str]:
    """Run a job of a pipeline: before_script and script in one shell, after_script in another; gives its exit code and what it printed."""
    known = {}
    document = yaml.safe_load(pipeline)
    for include in document.pop("include", []):
        known |= yaml.safe_load((workspace / include["local"]).read_text())
    known |= document
    whole: dict[str, Any] = {}
    for part in (*([known[known[job]["extends"]]] if "extends" in known[job] else []), known[job]):
        whole |= {**part, "variables": {**whole.get("variables", {}), **part.get("variables", {})}}
    assert set(whole) <= {"extends", "image", "variables", "before_script", "script", "after_script"}, whole
    variables: dict[str, str] = {}
    for key, value in whole["variables"].items():
        variables[key] = re.sub(r"\$(\w+)", lambda match: {**env, **variables}.get(match[1], ""), value)
    said = ""

    def shell(lines: list[str], **more: str) -> int:
        nonlocal said
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(lines)], cwd=workspace, env={**env, **variables, **more}, capture_output=True, text=True, timeout=300
        )
        said += done.stdout + done.stderr
        return done.returncode

    code = shell([*whole.get("before_script", []), *whole["script"]])
    shell(whole.get("after_script", []), CI_JOB_STATUS="failed" if code else "success")
    return code, said


def _pairs(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if line)
