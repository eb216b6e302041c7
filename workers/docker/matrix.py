"""What the docker worker makes of each part of a docker-worker payload."""

from __future__ import annotations

from tcbox.workers.matrix import SUPERSEDER, Matrix, Row

_WORKER, _FEATURES, _FAULTS = (f"acceptance/test_docker_{name}.py::" for name in ("worker", "features", "faults"))
_PARTS = "unit/test_docker_parts.py::"
_ENDS, _REFUSED = f"{_WORKER}test_how_a_task_ends", f"{_PARTS}test_payloads_that_are_refused"
_ARTIFACT_IMAGES = (f"{_WORKER}test_images_from_artifacts", f"{_FEATURES}test_an_image_from_an_artifact_takes_no_names")
_CACHES = f"{_WORKER}test_caches_last_from_task_to_task"
_RUNS = f"{_WORKER}test_a_task_runs_in_a_container"
_DIND = "acceptance/test_docker_dind.py::test_"
_CUT = "acceptance/test_docker_inside.py::test_a_power_cut_under_docker_tasks"
_BULK = f"{_FEATURES}test_the_bulk_log_by_its_own_name"
_LOGS = f"{_WORKER}test_log_names_and_features"
_CAPABILITIES, _DEVICES = f"{_FEATURES}test_capabilities", f"{_FEATURES}test_devices"
_FEW = f"{_PARTS}test_devices_of_which_there_are_few"


def _scope(name: str) -> str:
    return f"scope `docker-worker:{name}` or `docker-worker:{name}:<taskQueueId>`"


MATRIX = Matrix(
    title="docker-worker payloads, by the docker worker",
    schemas=("/schemas/docker-worker/v1/payload.json",),
    rows=(
        Row(
            "image", "yes",
            "by its name, not by an id; pulled unless the engine has it; with the machine's own password only for tasks with "
            "`docker-worker:image:<name>:<tag>`",
            (
                f"{_FEATURES}test_images_from_a_registry", f"{_FEATURES}test_an_image_is_given_by_its_name_alone",
                f"{_FEATURES}test_private_images_need_a_scope", f"{_WORKER}test_an_image_that_no_registry_gives",
            ),
        ),
        Row("image.type=task-image", "yes", "as `docker save` writes it: plain, gzip or zstd; names in it are not taken over", _ARTIFACT_IMAGES),
        Row("image.type=indexed-image", "yes", "likewise, of the task that the index has", _ARTIFACT_IMAGES),
        Row("maxRunTime", "yes", "up to 7 days", (f"{_WORKER}test_max_run_time",)),
        Row("artifacts.<name>", "yes", "one that is missing becomes an error artifact, and the task does not fail for it", (f"{_WORKER}test_artifacts",)),
        Row("artifacts.<name>.type=volume", "yes", "the folder is there when the task starts", (f"{_FEATURES}test_volumes_become_artifacts",)),
        Row(
            "cache", "yes", f"{_scope('cache:<name>')}; each queue has its own; a new one is empty, and belongs to the image's user",
            (
                _CACHES, f"{_FEATURES}test_a_fresh_cache_belongs_to_the_containers_user", f"{_PARTS}test_scopes_that_a_payload_needs",
                "unit/test_docker_caches.py::test_each_queue_has_caches_of_its_own",
            ),
        ),
        Row("capabilities.devices.hostSharedMemory", "yes", _scope("capability:device:hostSharedMemory"), (_DEVICES,)),
        Row("capabilities.devices.kvm", "yes", f"{_scope('capability:device:kvm')}; refused where the machine has none", (_DEVICES, _FEW)),
        Row("capabilities.devices.loopbackAudio", "yes", f"{_scope('capability:device:loopbackAudio')}; a card for each task", (_FEW,)),
        Row("capabilities.devices.loopbackVideo", "yes", f"{_scope('capability:device:loopbackVideo')}; a camera for each task", (_FEW, _DEVICES)),
        Row("capabilities.disableSeccomp", "yes", "scope `docker-worker:capability:disableSeccomp`", (_CAPABILITIES, _ENDS)),
        Row(
            "capabilities.privileged", "by setting", f"`workers.docker.privileged`, and {_scope('capability:privileged')}",
            (f"{_DIND}privileged_containers", f"{_FEATURES}test_privileged_containers_must_be_allowed"),
        ),
        Row("command", "yes", "", (_RUNS, _ENDS)),
        Row("env", "yes", "", (_RUNS, f"{_FEATURES}test_the_environment")),
        Row("features.allowPtrace", "yes", "scope `docker-worker:feature:allowPtrace`", (_CAPABILITIES, _ENDS)),
        Row("features.artifacts", "yes", "without, logs are not kept either", (_LOGS,)),
        Row("features.bulkLog", "yes", "asked for by name, also as `public/logs/terminal_bulk.log.gz`", (_BULK, _LOGS)),
        Row(
            "features.chainOfTrust", "yes", "signed with the worker's own ed25519 key; images from artifacts are held against their own certificates",
            (f"{_FEATURES}test_chain_of_trust", f"{_FEATURES}test_images_are_held_against_their_own_certificates"),
        ),
        Row(
            "features.interactive", "yes", "`private/docker-worker/shell.html`; the image needs `/bin/sh`",
            (
                f"{_FEATURES}test_shells_in_a_running_task", f"{_FEATURES}test_a_task_waits_for_those_who_have_a_shell",
                f"{_FEATURES}test_the_published_client_opens_shells", "acceptance/test_ui_shell.py::test_a_person_opens_a_shell_in_a_task",
            ),
        ),
        Row("features.localLiveLog", "yes", "", (f"{_WORKER}test_the_live_log_can_be_read_while_the_task_runs", _LOGS)),
        Row("features.taskclusterProxy", "yes", "", (f"{_WORKER}test_the_proxy_signs_for_the_task", f"{_FAULTS}test_fifty_tasks_at_once")),
        Row("log", "yes", "", (_LOGS,)),
        Row("onExitStatus.purgeCaches", "yes", "", (_CACHES,)),
        Row("onExitStatus.retry", "yes", "", (_ENDS,)),
        Row("supersederUrl", "refused", SUPERSEDER, (_ENDS, _REFUSED)),
    ),
    beyond=(
        Row(
            "features.dind", "by setting",
            f"withdrawn by docker-worker, and done here: `workers.docker.dind_image`, an engine that runs privileged containers, and {_scope('feature:dind')}",
            (
                f"{_DIND}a_task_has_an_engine_of_its_own", f"{_DIND}users_other_than_root", f"{_DIND}the_scope", f"{_DIND}not_asked_for",
                f"{_DIND}a_cancelled_task", f"{_DIND}nothing_survives_a_killed_worker", f"{_DIND}an_engine_beside_that_does_not_come_up",
                f"{_DIND}an_engine_without_privileged_containers", _ENDS,
            ),
        ),
        Row("features.dockerSave", "refused", "withdrawn by docker-worker: saving the container is no longer part of docker-worker payloads", (_REFUSED,)),
        Row("features.relengAPIProxy", "refused", "withdrawn by docker-worker: this proxy is no longer part of docker-worker payloads", (_REFUSED,)),
        Row("features.balrogVPNProxy", "refused", "withdrawn by docker-worker, as `balrogStageVPNProxy`", (_REFUSED,)),
        Row("(limits)", "by setting", "`memory_mb`, `processes`, `cpus` of `workers.docker`", (f"{_FEATURES}test_a_task_cannot_take_the_machine",)),
        Row(
            "(a full disk)", "by setting", "`free_disk_mb`, `images_mb` of `workers.docker`",
            (
                f"{_FAULTS}test_no_task_is_claimed_when_the_disk_is_nearly_full", f"{_FAULTS}test_a_full_disk_where_the_worker_keeps_files",
                f"{_FAULTS}test_a_full_disk_where_the_engine_keeps_images", f"{_FEATURES}test_images_give_way_to_others",
            ),
        ),
        Row("(upload cut off)", "yes", "tried six times, then `resource-unavailable`", (f"{_FAULTS}test_uploads_that_are_cut_off",)),
        Row("(task cancelled)", "yes", "its container ends within seconds", (f"{_WORKER}test_a_cancelled_task_is_stopped",)),
        Row("(worker stopped)", "yes", "`worker-shutdown`: tried again", (f"{_WORKER}test_shutdown_hands_tasks_back",)),
        Row(
            "(worker killed)", "yes", "containers, networks and caches in use are removed at once; tried again",
            (_CUT, f"{_WORKER}test_nothing_survives_a_killed_worker", f"{_FAULTS}test_caches_of_a_killed_worker_go_too"),
        ),
        Row(
            "(engine restarted)", "yes", "`worker-shutdown`: tried again",
            (f"{_FAULTS}test_an_engine_that_is_restarted", f"{_FAULTS}test_a_container_that_somebody_ends", f"{_WORKER}test_an_engine_that_goes_away"),
        ),
    ),
)  # fmt: skip
