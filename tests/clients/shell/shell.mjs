// Opens a shell in a docker task by the published client, types a line, and prints what it heard as JSON.

import client from "docker-exec-websocket-client";

const [url, line, ...command] = process.argv.slice(2);
const { DockerExecClient } = client;
const shell = new DockerExecClient({ url, tty: false, command });
await shell.execute();
const heard = { stdout: "", stderr: "", exit: null };
for (const name of ["stdout", "stderr"]) shell[name].on("data", (data) => (heard[name] += data));
shell.on("exit", (code) => {
  heard.exit = code;
  console.log(JSON.stringify(heard));
  process.exit(0);
});
shell.stdin.write(line);
shell.stdin.end();
