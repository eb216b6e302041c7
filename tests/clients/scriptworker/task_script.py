"""What scriptworker runs for each task: do as its payload says, and leave artifacts.

usage: task_script.py WORK_DIR ARTIFACT_DIR
"""

import json
import os
import pathlib
import sys
import time

work, artifacts = map(pathlib.Path, sys.argv[1:])
task = json.loads((work / "task.json").read_text())
payload = task["payload"]
print("working on", task["metadata"]["name"])
for name, text in payload.get("write", {}).items():
    path = artifacts / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
(artifacts / "public").mkdir(exist_ok=True)
(artifacts / "public" / "noise.bin").write_bytes(bytes(range(256)) * 100)
(artifacts / "public" / "seen.json").write_text(json.dumps({key: os.environ.get(key) for key in ("TASK_ID", "RUN_ID", "TASKCLUSTER_ROOT_URL")}))
if "marker" in payload:
    pathlib.Path(payload["marker"]).touch()
    time.sleep(60)
sys.exit(payload.get("exit", 0))
