"""What the docker worker makes of each part of a docker-worker payload."""

from __future__ import annotations

from tcbox.workers.matrix import Matrix, Row

_WORKER = "acceptance/test_docker_worker.py::"
_ENDS, _IMAGES, _CACHES = f"{_WORKER}test_how_a_task_ends", f"{_WORKER}test_images_from_artifacts", f"{_WORKER}test_caches_last_from_task_to_task"
_PAYLOADS = "unit/test_worker_payloads.py::"

MATRIX = Matrix(
    title="docker-worker payloads, by the docker worker",
    schemas=("/schemas/docker-worker/v1/payload.json",),
    rows=(
        Row("image", "yes", "a name or `docker-image` is pulled unless the engine has it", (_ENDS, f"{_WORKER}test_an_image_that_no_registry_gives")),
        Row("image.type=task-image", "yes", "as `docker save` writes it: plain, gzip or zstd", (_IMAGES,)),
        Row("image.type=indexed-image", "yes", "likewise", (_IMAGES,)),
        Row("maxRunTime", "yes", "up to 7 days", (f"{_WORKER}test_max_run_time",)),
        Row("artifacts.<name>", "yes", "", (f"{_WORKER}test_artifacts",)),
        Row("artifacts.<name>.type=volume", "refused", "volume is not done here: use directory", (_ENDS,)),
        Row("cache", "yes", "scope `docker-worker:cache:<name>`", (_CACHES,)),
        Row("capabilities", "refused", "containers run with the engine's usual limits only: leave it out", (_ENDS,)),
        Row("command", "yes", "", (f"{_WORKER}test_a_task_runs_in_a_container",)),
        Row("env", "yes", "", (f"{_WORKER}test_a_task_runs_in_a_container",)),
        Row("features.allowPtrace", "yes", "scope `docker-worker:feature:allowPtrace`", (_ENDS,)),
        Row("features.artifacts", "yes", "", (f"{_WORKER}test_log_names_and_features",)),
        Row("features.bulkLog", "yes", "", (f"{_WORKER}test_log_names_and_features",)),
        Row("features.chainOfTrust", "refused", "certificates of chain of trust are not made here", (_ENDS,)),
        Row("features.interactive", "refused", "a shell in the running task is not to be had here: leave it out", (_ENDS,)),
        Row("features.localLiveLog", "yes", "", (f"{_WORKER}test_the_live_log_can_be_read_while_the_task_runs",)),
        Row("features.taskclusterProxy", "yes", "", (f"{_WORKER}test_the_proxy_signs_for_the_task",)),
        Row("log", "yes", "", (f"{_WORKER}test_log_names_and_features",)),
        Row("onExitStatus.purgeCaches", "yes", "", (_CACHES,)),
        Row("onExitStatus.retry", "yes", "", (_ENDS,)),
        Row("supersederUrl", "without effect", "", (f"{_PAYLOADS}test_docker_defaults",)),
    ),
)
