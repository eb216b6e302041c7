// Uses an instance by Taskcluster's own library for Node. It takes one argument, what to try, and the credentials from
// the environment; it is silent when all is as it should be, and says what is not.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import taskcluster from 'taskcluster-client';

const options = taskcluster.fromEnvVars();
const rootUrl = options.rootUrl;
const own = (Service, credentials, more = {}) => new Service({ rootUrl, credentials, ...more });
const queue = new taskcluster.Queue(options);
const auth = new taskcluster.Auth(options);
const secrets = new taskcluster.Secrets(options);

const refused = async (promise, statusCode, code) =>
  assert.rejects(promise, (error) => {
    assert.deepEqual([error.statusCode, error.code, error.body?.code], [statusCode, code, code], error.message);
    assert.equal(error.body.requestInfo.method, error.method ?? error.body.requestInfo.method);
    return true;
  });

const task = (changes = {}) => ({
  taskQueueId: 'local/host',
  schedulerId: 'node',
  created: taskcluster.fromNowJSON(),
  deadline: taskcluster.fromNowJSON('1 hour'),
  expires: taskcluster.fromNowJSON('1 day'),
  payload: {
    command: [['/bin/sh', '-c', 'mkdir o; printf plain | tee o/a.txt; printf secret > o/b.txt']],
    maxRunTime: 60,
    artifacts: [
      { type: 'file', path: 'o/a.txt', name: 'public/a.txt' },
      { type: 'file', path: 'o/b.txt', name: 'private/b.txt' },
    ],
  },
  metadata: { name: 'Node', description: 'made by Node', owner: 'node@example.com', source: 'https://example.com/' },
  extra: { kept: [null, 1, { deep: 'ä' }] },
  ...changes,
});

const ended = async (taskId) => {
  for (const until = Date.now() + 30_000; Date.now() < until; await new Promise((go) => setTimeout(go, 50))) {
    const { status } = await queue.status(taskId);
    if (status.state === 'completed') {
      return status;
    }
    assert.ok(!['failed', 'exception'].includes(status.state), `${taskId} is ${status.state}`);
  }
  assert.fail(`${taskId} does not end`);
};

// where a download goes to, from the beginning at each try
const sink = () => {
  const made = {};
  made.streamFactory = async () => {
    const chunks = [];
    made.content = () => Buffer.concat(chunks);
    return new Writable({ write: (chunk, _, next) => (chunks.push(chunk), next()) });
  };
  return made;
};

const tries = {
  // each service that the library knows can be made; each that the instance has answers as the library expects
  async services() {
    const running = process.env.SERVICES.split(',');
    const names = { Auth: 'auth', Github: 'github', Hooks: 'hooks', Index: 'index', Notify: 'notify', Object: 'object', PurgeCache: 'purge-cache', Queue: 'queue', Secrets: 'secrets', WorkerManager: 'worker-manager' };
    let asked = 0;
    for (const [name, service] of Object.entries(names)) {
      for (const credentials of [options.credentials, {}]) {
        const client = own(taskcluster[name], credentials);
        assert.ok(client.buildUrl(client.ping).startsWith(`${rootUrl}/api/${service}/v1/ping`));
        if (running.includes(service)) {
          assert.equal((await client.ping()).alive, true);
          asked += 1;
        }
      }
    }
    assert.ok(asked >= 8, `${asked} pings`);
    for (const name of ['AuthEvents', 'GithubEvents', 'HooksEvents', 'NotifyEvents', 'QueueEvents', 'WorkerManagerEvents']) {
      assert.ok(new taskcluster[name]({ rootUrl, credentials: {} }));
    }
    const events = new taskcluster.QueueEvents({ rootUrl, credentials: {} });
    assert.equal(events.taskDefined({ taskId: 'x' }).exchange, 'exchange/taskcluster-queue/v1/task-defined');
  },

  // a task is created, waited for, listed, and its artifacts are read, whichever way
  async task() {
    const taskId = taskcluster.slugid();
    const taskGroupId = taskcluster.slugid();
    const definition = task({ taskGroupId });
    assert.equal((await queue.createTask(taskId, definition)).status.taskId, taskId);
    assert.equal((await queue.createTask(taskId, definition)).status.taskId, taskId);
    const status = await ended(taskId);
    assert.equal(status.runs[0].reasonResolved, 'completed');
    assert.deepEqual((await queue.task(taskId)).payload, definition.payload);
    assert.deepEqual((await queue.task(taskId)).extra, definition.extra);
    assert.deepEqual((await queue.listTaskGroup(taskGroupId)).tasks.map((each) => each.status.taskId), [taskId]);
    const names = [];
    for (let query = { limit: 1 }; query; ) {
      const page = await queue.listArtifacts(taskId, 0, query);
      names.push(...page.artifacts.map((each) => each.name));
      query = page.continuationToken && { limit: 1, continuationToken: page.continuationToken };
    }
    assert.ok(['private/b.txt', 'public/a.txt', 'public/logs/live.log'].every((name) => names.includes(name)), names.join(' '));
    for (const [name, content] of [['public/a.txt', 'plain'], ['private/b.txt', 'secret']]) {
      for (const runId of [0, undefined]) {
        const into = sink();
        const type = await taskcluster.downloadArtifact({ taskId, runId, name, queue, ...into });
        assert.equal(into.content().toString(), content);
        assert.match(type, /^text\/plain/);
      }
    }
    const signed = queue.buildSignedUrl(queue.getLatestArtifact, taskId, 'private/b.txt', { expiration: 60 });
    assert.equal(await (await fetch(signed)).text(), 'secret');
    assert.equal((await fetch(queue.buildUrl(queue.getLatestArtifact, taskId, 'private/b.txt'))).status, 403);
  },

  // an artifact of each storage type is made as a worker makes it, and downloaded by the library's helper
  async artifacts() {
    const taskId = taskcluster.slugid();
    await queue.createTask(taskId, task({ taskQueueId: 'node/worker', payload: {} }));
    const claim = (await queue.claimWork('node/worker', { tasks: 1, workerGroup: 'g', workerId: 'w' })).tasks[0];
    assert.equal(claim.status.taskId, taskId);
    const mine = own(taskcluster.Queue, claim.credentials);
    const expires = taskcluster.fromNowJSON('1 hour');
    const content = crypto.randomBytes(100_000);
    const contentType = 'application/x-node';
    const stored = await mine.createArtifact(taskId, 0, 'public/s3', { storageType: 's3', contentType, expires });
    assert.ok((await fetch(stored.putUrl, { method: 'PUT', body: content, headers: { 'Content-Type': contentType } })).ok);
    const object = await mine.createArtifact(taskId, 0, 'public/object', { storageType: 'object', contentType, expires });
    await taskcluster.upload({
      ...object, contentType, contentLength: content.length, object: own(taskcluster.Object, object.credentials), streamFactory: async () => Readable.from([content]),
    });
    await mine.finishArtifact(taskId, 0, 'public/object', { uploadId: object.uploadId });
    await mine.createArtifact(taskId, 0, 'public/link', { storageType: 'link', contentType, expires, artifact: 'public/s3' });
    await mine.createArtifact(taskId, 0, 'public/elsewhere', { storageType: 'reference', contentType, expires, url: `${rootUrl}/__version__` });
    await mine.createArtifact(taskId, 0, 'public/error', { storageType: 'error', expires, reason: 'file-missing-on-worker', message: 'no such file' });
    await mine.reportCompleted(taskId, 0);
    for (const name of ['public/s3', 'public/object', 'public/link']) {
      const into = sink();
      assert.equal(await taskcluster.downloadArtifact({ taskId, name, queue, ...into }), contentType);
      assert.ok(into.content().equals(content), name);
    }
    const into = sink();
    await taskcluster.downloadArtifact({ taskId, runId: 0, name: 'public/elsewhere', queue, ...into });
    assert.equal(JSON.parse(into.content()).source !== undefined, true);
    await assert.rejects(taskcluster.downloadArtifact({ taskId, name: 'public/error', queue, ...sink() }), { message: 'no such file', reason: 'file-missing-on-worker' });
    await refused(queue.reportCompleted(taskId, 5), 404, 'ResourceNotFound');
  },

  // what the library uploads, inline or by address, it downloads again with the hashes right
  async objects() {
    const object = new taskcluster.Object(options);
    for (const size of [0, 5, 8191, 8192, 3 << 20]) {
      const content = crypto.randomBytes(size);
      const name = `node/${taskcluster.slugid()}`;
      await taskcluster.upload({
        projectId: 'node', name, contentType: 'text/x-node', contentLength: size, expires: taskcluster.fromNowJSON('1 hour'), object,
        streamFactory: async () => Readable.from(size ? [content] : []),
      });
      const into = sink();
      await taskcluster.download({ name, object, ...into });
      assert.ok(into.content().equals(content), `${size} bytes`);
    }
  },

  // clients and temporary credentials come, are narrowed, change and go; a stale one is refused
  async clients() {
    const clientId = `node/${taskcluster.slugid()}`;
    const { accessToken } = await auth.createClient(clientId, { description: 'made by Node', expires: taskcluster.fromNowJSON('1 day'), scopes: ['secrets:get:node/*'] });
    const credentials = { clientId, accessToken };
    const scopes = async (made, more) => (await own(taskcluster.Auth, made, more).currentScopes()).scopes.filter((scope) => scope.startsWith('secrets:'));
    assert.deepEqual(await scopes(credentials), ['secrets:get:node/*']);
    assert.deepEqual(await scopes(credentials, { authorizedScopes: ['secrets:get:node/a'] }), ['secrets:get:node/a']);
    const temporary = taskcluster.createTemporaryCredentials({ scopes: ['secrets:get:node/b'], expiry: taskcluster.fromNow('1 hour'), credentials });
    assert.deepEqual(await scopes(temporary), ['secrets:get:node/b']);
    const named = taskcluster.createTemporaryCredentials({ clientId: 'node/named', scopes: ['secrets:get:node/c'], expiry: taskcluster.fromNow('1 hour'), credentials: options.credentials });
    assert.deepEqual(await scopes(named), ['secrets:get:node/c']);
    const about = await taskcluster.credentialInformation(rootUrl, named);
    assert.deepEqual([about.clientId, about.type, about.active], ['node/named', 'temporary', true]);
    const old = taskcluster.createTemporaryCredentials({ scopes: [], start: taskcluster.fromNow('-2 hours'), expiry: taskcluster.fromNow('-1 hour'), credentials });
    await refused(own(taskcluster.Auth, old).currentScopes(), 401, 'AuthenticationFailed');
    await auth.updateClient(clientId, { description: 'changed', expires: taskcluster.fromNowJSON('1 day'), scopes: [] });
    assert.deepEqual(await scopes(credentials), []);
    assert.deepEqual((await auth.listClients({ prefix: clientId })).clients.map((each) => each.description), ['changed']);
    await auth.disableClient(clientId);
    await refused(own(taskcluster.Auth, credentials).currentScopes(), 401, 'AuthenticationFailed');
    await auth.deleteClient(clientId);
    await refused(auth.client(clientId), 404, 'ResourceNotFound');
  },

  // a secret comes back as it went in, also by a signed address, which holds for its time, method and path alone
  async secrets() {
    const name = `node/${taskcluster.slugid()}`;
    const secret = { z: 1, a: [null, 'ä\u0000'], nested: { b: true } };
    await secrets.set(name, { secret, expires: taskcluster.fromNowJSON('1 hour') });
    assert.equal(JSON.stringify((await secrets.get(name)).secret), JSON.stringify(secret));
    const signed = secrets.buildSignedUrl(secrets.get, name, { expiration: 60 });
    assert.deepEqual((await (await fetch(signed)).json()).secret, secret);
    assert.equal((await fetch(signed, { method: 'DELETE' })).status, 401);
    assert.equal((await fetch(signed.replace('node%2F', 'node%2Fx'))).status, 401);
    const past = secrets.buildSignedUrl(secrets.get, name, { expiration: -120 });
    assert.equal((await fetch(past)).status, 401);
    const listed = secrets.buildSignedUrl(secrets.list, { limit: '1000' }, { expiration: 60 });
    assert.ok((await (await fetch(listed)).json()).secrets.includes(name));
    await secrets.remove(name);
    await refused(secrets.get(name), 404, 'ResourceNotFound');
  },

  // each kind of refusal is the library's own error, with the published code
  async errors() {
    await refused(queue.task(taskcluster.slugid()), 404, 'ResourceNotFound');
    await refused(queue.task('no-slug'), 400, 'InvalidRequestArguments');
    await refused(queue.createTask(taskcluster.slugid(), task({ deadline: taskcluster.fromNowJSON('-1 hour') })), 400, 'InputError');
    await refused(queue.createTask(taskcluster.slugid(), task({ priority: 'utmost' })), 400, 'InputValidationError');
    const taskId = taskcluster.slugid();
    await queue.createTask(taskId, task({ taskQueueId: 'nobody/here' }));
    await refused(queue.createTask(taskId, task({ taskQueueId: 'nobody/there' })), 409, 'RequestConflict');
    await refused(own(taskcluster.Queue, {}).createTask(taskcluster.slugid(), task()), 403, 'InsufficientScopes');
    await refused(own(taskcluster.Queue, { clientId: 'nobody', accessToken: 'x' }).createTask(taskcluster.slugid(), task()), 401, 'AuthenticationFailed');
  },
};

await tries[process.argv[2]]();
