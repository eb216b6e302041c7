// A program with a generated client: what it sees, as JSON. usage: program.js tour|refused|body

import {
  ClientMismatch,
  Queue,
  QueueEvents,
  TaskclusterError,
  pages,
  slugid,
} from "./tc/index.js";
import type { CreateTaskRequest, TaskDefinedMessage } from "./tc/queue.js";
import type { Binding } from "./tc/index.js";

const moment = (seconds: number) => new Date(Date.now() + seconds * 1000).toJSON();

function definition(group: string): CreateTaskRequest {
  return {
    taskQueueId: "test/generated",
    taskGroupId: group,
    created: moment(0),
    deadline: moment(3600),
    payload: { command: ["true"] },
    priority: "high",
    metadata: { name: "a task", description: "", owner: "nobody@localhost", source: "http://localhost/" },
  };
}

async function tour(): Promise<unknown> {
  const queue = new Queue();
  const group = slugid();
  const tasks = [slugid(), slugid(), slugid()];
  for (const task of tasks) await queue.createTask(task, definition(group));
  const first = tasks[0] ?? "";
  const { status } = await queue.status(first);
  const seen: string[] = [];
  for await (const page of pages((continuationToken) => queue.listTaskGroup(group, { continuationToken, limit: 2 }))) {
    seen.push(...page.tasks.map((each) => each.status.taskId));
  }
  let error = 0;
  try {
    await queue.status(slugid());
  } catch (caught) {
    if (caught instanceof TaskclusterError && !(caught instanceof ClientMismatch)) error = caught.status;
  }
  const binding: Binding<TaskDefinedMessage> = QueueEvents.taskDefined({ taskId: first });
  return {
    state: status.state,
    listed: seen.join() === tasks.join(),
    error,
    priority: (await queue.task(first)).priority,
    binding: binding.routingKeyPattern === `primary.${first}.*.*.*.*.*.*.*.#`,
    url: await queue.taskUrl(first, 60),
  };
}

async function refused(ofBody: boolean): Promise<unknown> {
  const queue = new Queue();
  const task = slugid();
  try {
    if (ofBody) await queue.status(task);
    else await queue.createTask(task, definition(task));
  } catch (error) {
    if (error instanceof ClientMismatch) {
      return { kind: "mismatch", message: error.message, differences: error.differences, status: error.status };
    }
    return { kind: error instanceof TaskclusterError ? "body" : "other", message: String(error) };
  }
  return { kind: "none" };
}

const what = (globalThis as { [name: string]: any })["process"].argv[2];
console.log(JSON.stringify(what === "tour" ? await tour() : await refused(what === "body")));
