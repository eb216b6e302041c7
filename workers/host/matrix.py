"""What the host worker makes of each part of a generic-worker payload, or of a docker-worker payload on its queues."""

from __future__ import annotations

from tcbox.workers.matrix import SUPERSEDER, Matrix, Row

_WORKER, _FEATURES, _FAULTS = (f"acceptance/test_host_{name}.py::test_" for name in ("worker", "features", "faults"))
_D2G, _PURE, _ARCHIVES = "acceptance/test_host_d2g.py::test_", "unit/test_host_d2g.py::test_", "unit/test_host_archives.py::test_"
_ENDS, _ARTIFACTS, _ALL_FAULTS = f"{_WORKER}how_a_task_ends", f"{_WORKER}artifacts", f"{_WORKER}all_faults_of_a_payload_are_in_the_log"
_CONTENT, _LOGS = f"{_WORKER}files_are_mounted_from_everywhere", f"{_WORKER}log_names_and_features"
_FILES, _TARS = f"{_ARCHIVES}compressed_files", f"{_ARCHIVES}compressed_tars"
_CONTAINER, _DOCKER_ENDS, _IMAGES, _OUT = f"{_D2G}a_task_runs_in_a_container", f"{_D2G}how_a_task_ends", f"{_D2G}images_from_artifacts", f"{_D2G}artifacts"
_OPTIONS, _CAPABLE = f"{_PURE}options", f"{_D2G}capabilities_with_their_scopes"
_BY_PROGRAM = "where the program is there: {}; else refused: `… cannot be unpacked here: install … on this machine`"


def _program(form: str, names: str) -> Row:
    tests = (f"{_ARCHIVES}what_no_program_unpacks", f"{_ARCHIVES}{form}" if form in ("7z", "rar") else _FILES)
    return Row(f"mounts[].format={form}", "yes", _BY_PROGRAM.format(names), tests)


MATRIX = Matrix(
    title="generic-worker payloads, and docker-worker payloads by d2g, by the host worker",
    schemas=(
        "/schemas/generic-worker/multiuser_posix.json",
        "/schemas/generic-worker/insecure_posix.json",
        "/schemas/generic-worker/multiuser_windows.json",
    ),
    rows=(
        Row("command", "yes", "", (f"{_WORKER}a_task_runs_in_a_folder_of_its_own_with_its_environment", _CONTAINER)),
        Row("env", "yes", "`TASK_ID` and the like cannot be replaced", (f"{_WORKER}a_task_runs_in_a_folder_of_its_own_with_its_environment", _CONTAINER)),
        Row("maxRunTime", "yes", "up to 7 days; the whole process tree is ended", (f"{_WORKER}max_run_time_ends_the_whole_tree", _DOCKER_ENDS)),
        Row("artifacts[]", "yes", "relative or absolute paths", (_ARTIFACTS, f"{_FEATURES}artifacts_by_absolute_path_and_reserved_names")),
        Row("artifacts[].expires", "yes", "between the task's deadline and its own expiry", (f"{_FEATURES}artifact_expiry_must_fit",)),
        Row("artifacts[].optional", "yes", "what is missing becomes an error artifact, and the task does not fail", (_ENDS,)),
        Row("features.backingLog", "yes", "", (_LOGS,)),
        Row("features.liveLog", "yes", "", (f"{_WORKER}the_live_log_can_be_read_while_the_task_runs", _LOGS)),
        Row(
            "features.chainOfTrust",
            "yes",
            "not together with `runTaskAsCurrentUser`; the key is in `chain-of-trust.key` of the worker's folder",
            (f"{_FEATURES}a_signed_certificate", f"{_D2G}a_certificate_names_the_image", _ENDS),
        ),
        Row(
            "features.interactive",
            "yes",
            "artifact `private/generic-worker/shell.html`; until the commands have ended",
            (
                f"{_FEATURES}a_shell_in_a_running_task",
                f"{_D2G}a_shell_in_the_container",
                "acceptance/test_host_inside.py::test_a_shell_through_the_instances_port",
            ),
        ),
        Row("features.loopbackAudio", "refused", "a loopback sound device is not to be had here: leave it out", (_ENDS,)),
        Row("features.loopbackVideo", "refused", "a loopback video device is not to be had here: leave it out", (_ENDS,)),
        Row(
            "features.resourceMonitor",
            "yes",
            "in the log; asked for by name, also the artifact `public/logs/resource-monitor.json`",
            (f"{_FEATURES}the_resource_monitor_tells_what_was_used", f"{_FEATURES}a_task_is_ended_when_the_machine_has_no_memory_left"),
        ),
        Row(
            "features.runTaskAsCurrentUser",
            "yes",
            "tasks always do; scope `generic-worker:run-task-as-current-user:<taskQueueId>`",
            (f"{_FEATURES}running_as_the_workers_user", _ENDS),
        ),
        Row("features.taskclusterProxy", "yes", "", (f"{_WORKER}the_proxy_signs_for_the_task", f"{_D2G}the_proxy_is_on_the_tasks_own_network")),
        Row("features.hideCmdWindow", "refused", "windows of commands are had on Windows only: leave it out", (_ALL_FAULTS,)),
        Row("features.runAsAdministrator", "refused", "administrators that commands run as are had on Windows only: leave it out", (_ALL_FAULTS,)),
        Row("rdpInfo", "refused", "remote desktops are had on Windows only: leave it out", (_ALL_FAULTS,)),
        Row("logs", "yes", "", (_LOGS, _ENDS)),
        Row("mounts[].content.artifact", "yes", "", (_CONTENT, f"{_FEATURES}what_mounts_lack")),
        Row("mounts[].content.taskId", "yes", "the task must be among the dependencies", (_CONTENT, _ENDS)),
        Row("mounts[].content.namespace", "yes", "", (_CONTENT, f"{_FEATURES}what_mounts_lack")),
        Row("mounts[].content.url", "yes", "tried again when it breaks off", (_CONTENT, f"{_FAULTS}a_download_that_breaks_is_tried_again")),
        Row("mounts[].content.sha256", "yes", "of the content as it was fetched", (_CONTENT, f"{_FEATURES}an_artifact_is_fetched_once_and_checked_each_time")),
        Row("mounts[].content.raw", "yes", "", (_CONTENT,)),
        Row("mounts[].content.base64", "yes", "as the bytes that it stands for", (_CONTENT, f"{_FEATURES}what_mounts_lack")),
        Row("mounts[].file", "yes", "", (_CONTENT, f"{_FEATURES}mounts_at_absolute_paths", f"{_FEATURES}mounts_in_each_others_way")),
        Row("mounts[].directory", "yes", "", (f"{_WORKER}archives_are_mounted", f"{_FEATURES}folders_and_caches_with_content")),
        Row(
            "mounts[].cacheName",
            "yes",
            "scope `generic-worker:cache:<name>`",
            (f"{_WORKER}caches_last_from_task_to_task", f"{_FEATURES}a_cache_that_the_task_has_spoiled", f"{_FEATURES}mounts_at_absolute_paths"),
        ),
        *(Row(f"mounts[].format={form}", "yes", "", (_FILES,)) for form in ("bz2", "gz", "lz", "xz", "zst", "zz")),
        _program("br", "`brotli`"),
        _program("lz4", "`lz4`"),
        _program("mz", "`mz`"),
        _program("sz", "`snzip` or `szip`"),
        *(Row(f"mounts[].format={form}", "yes", "", (_TARS, f"{_WORKER}archives_are_mounted")) for form in ("tar", "tar.bz2", "tar.gz", "tar.xz", "tar.zst")),
        *(Row(f"mounts[].format={form}", "yes", "", (_TARS,)) for form in ("tar.lz", "tar.zz")),
        *(Row(f"mounts[].format=tar.{form}", "yes", f"as `{form}`", (_TARS, f"{_ARCHIVES}what_no_program_unpacks")) for form in ("br", "lz4", "mz", "sz")),
        Row("mounts[].format=zip", "yes", "", (f"{_WORKER}archives_are_mounted", f"{_ARCHIVES}nothing_is_written_outside")),
        _program("7z", "`7zz`, `7z`, `7za` or `bsdtar`"),
        _program("rar", "`unrar`, `bsdtar`, `unar`, `7zz` or `7z`"),
        Row("onExitStatus.purgeCaches", "yes", "", (f"{_WORKER}caches_last_from_task_to_task", f"{_D2G}caches_last_from_task_to_task")),
        Row("onExitStatus.retry", "yes", "", (_ENDS, _DOCKER_ENDS)),
        Row(
            "osGroups",
            "yes",
            "groups that the worker's user is in, with scope `generic-worker:os-group:<taskQueueId>/<group>`; others are refused",
            (f"{_FEATURES}a_group_of_the_users_needs_a_scope", _ENDS),
        ),
        Row("supersederUrl", "refused", SUPERSEDER, (_ENDS, f"{_PURE}faults")),
        Row("taskclusterProxyInterface=localhost", "yes", "", (f"{_WORKER}the_proxy_signs_for_the_task",)),
        Row(
            "taskclusterProxyInterface=docker-bridge",
            "yes",
            "where a Docker engine answers; `TASKCLUSTER_DOCKER_NETWORK` names the network, whose containers alone are answered",
            (f"{_D2G}processes_reach_the_proxy_on_a_bridge", f"{_PURE}without_docker"),
        ),
        Row(
            "image",
            "by setting",
            "`workers.host.d2g`, on by default; needs the `docker` command and an engine",
            (_CONTAINER, f"{_D2G}without_an_engine_or_when_it_is_switched_off"),
        ),
        Row("image.name", "yes", "pulled unless the engine has it", (_IMAGES, _DOCKER_ENDS)),
        Row("image.type=docker-image", "yes", "", (_IMAGES,)),
        Row("image.namespace", "yes", "", (_IMAGES,)),
        Row("image.path", "yes", "as `docker save` writes it, also compressed", (_IMAGES,)),
        Row("image.type=indexed-image", "yes", "", (_IMAGES,)),
        Row("image.taskId", "yes", "", (_IMAGES,)),
        Row("image.type=task-image", "yes", "", (_IMAGES,)),
        Row("artifacts.<name>", "yes", "copied out of the container; links that lead out of a folder are passed over", (_OUT, f"{_PURE}artifacts")),
        Row("artifacts.<name>.type=volume", "yes", "a folder mounted into the container", (_OUT, f"{_PURE}links_out_of_a_folder_are_cut")),
        Row("cache", "yes", "scope `docker-worker:cache:<name>` or `generic-worker:cache:<name>`", (f"{_D2G}caches_last_from_task_to_task", f"{_PURE}caches")),
        Row("capabilities.devices.hostSharedMemory", "yes", "scope `docker-worker:capability:device:hostSharedMemory`", (_OPTIONS, _CAPABLE)),
        Row(
            "capabilities.devices.kvm", "yes", "scope `docker-worker:capability:device:kvm`; refused where there is no `/dev/kvm`", (_OPTIONS, f"{_PURE}faults")
        ),
        Row("capabilities.devices.loopbackAudio", "refused", "a loopback sound device is not to be had here: leave it out", (f"{_PURE}faults",)),
        Row("capabilities.devices.loopbackVideo", "refused", "a loopback video device is not to be had here: leave it out", (f"{_PURE}faults", _DOCKER_ENDS)),
        Row("capabilities.disableSeccomp", "yes", "scope `docker-worker:capability:disableSeccomp`", (_OPTIONS, _CAPABLE)),
        Row("capabilities.privileged", "yes", "scope `docker-worker:capability:privileged`", (_OPTIONS, _CAPABLE)),
        Row("features.allowPtrace", "yes", "scope `docker-worker:feature:allowPtrace`", (_OPTIONS, _CAPABLE)),
        Row("features.artifacts", "yes", "", (f"{_PURE}without_artifacts_there_are_no_logs",)),
        Row("features.bulkLog", "yes", "", (f"{_PURE}without_artifacts_there_are_no_logs",)),
        Row("features.localLiveLog", "yes", "", (f"{_PURE}without_artifacts_there_are_no_logs",)),
        Row("log", "yes", "", (f"{_PURE}without_artifacts_there_are_no_logs",)),
    ),
    beyond=(
        Row("features.dind", "refused", "only the docker worker has an engine beside a task", (f"{_PURE}faults",)),
        Row("features.relengAPIProxy", "refused", "withdrawn by docker-worker, as are `dockerSave` and proxies for Balrog", (f"{_PURE}faults",)),
        Row(
            "cancelled, or past the deadline",
            "yes",
            "ended within moments",
            (f"{_WORKER}a_cancelled_task_is_stopped", f"{_FEATURES}the_deadline_ends_a_task", f"{_D2G}a_cancelled_task_is_stopped"),
        ),
        Row(
            "the worker stops, or is killed",
            "yes",
            "`worker-shutdown`; nothing of the task is left",
            (f"{_WORKER}shutdown_hands_tasks_back", f"{_WORKER}nothing_survives_a_killed_worker", f"{_D2G}nothing_survives_a_killed_worker"),
        ),
        Row(
            "the disk is full",
            "yes",
            "no task is claimed without room; one that fills it ends with its log",
            (f"{_FAULTS}a_full_disk", f"{_FAULTS}no_task_is_claimed_without_room"),
        ),
    ),
)
