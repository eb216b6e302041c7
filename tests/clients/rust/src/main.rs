//! Uses an instance by Taskcluster's own library for Rust. It takes one argument, what to try, and the credentials from
//! the environment; it is silent when all is as it should be, and says what is not.

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};
use std::time::{Duration, Instant};
use taskcluster::chrono::{Duration as Span, SecondsFormat, Utc};
use taskcluster::{err_status_code, Auth, ClientBuilder, Credentials, Object, Queue, Retry, Secrets};
use taskcluster_download::{download_artifact_to_vec, download_to_vec};
use taskcluster_upload::upload_from_buf;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let what = std::env::args().nth(1).context("what is to be tried?")?;
    match what.as_str() {
        "services" => services().await,
        "task" => task().await,
        "clients" => clients().await,
        "secrets" => secrets().await,
        "errors" => refusals().await,
        "objects" => objects().await,
        _ => bail!("there is no {what} to try"),
    }
}

fn root_url() -> Result<String> {
    Ok(std::env::var("TASKCLUSTER_ROOT_URL")?)
}

/// A client with the credentials from the environment.
fn signed() -> Result<ClientBuilder> {
    Ok(ClientBuilder::new(root_url()?).credentials(Credentials::from_env()?))
}

fn with(credentials: &Credentials) -> Result<ClientBuilder> {
    Ok(ClientBuilder::new(root_url()?).credentials(credentials.clone()))
}

/// A time so many minutes from now.
fn at(minutes: i64) -> String {
    (Utc::now() + Span::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// That a call was refused, with a status and words that tell of it.
fn refused<T>(reply: Result<T>, status: u16, words: &str) -> Result<()> {
    let Err(error) = reply else { bail!("what should be refused with {status} was done") };
    let said = format!("{error:#}");
    let code = error.chain().find_map(|cause| cause.downcast_ref::<reqwest::Error>().and_then(reqwest::Error::status));
    ensure!(code.or_else(|| err_status_code(&error)).map(|code| code.as_u16()) == Some(status), "refused with {code:?}, not {status}: {said}");
    ensure!(said.contains(words), "the refusal does not say {words:?}: {said}");
    Ok(())
}

/// Every service that the library and the instance both know answers, signed or not.
async fn services() -> Result<()> {
    for builder in [signed()?, ClientBuilder::new(root_url()?)] {
        Auth::new(builder.clone())?.ping().await?;
        Secrets::new(builder.clone())?.ping().await?;
        Object::new(builder.clone())?.ping().await?;
        let queue = Queue::new(builder)?;
        queue.ping().await?;
        queue.lbheartbeat().await?;
        queue.heartbeat().await?;
    }
    Ok(())
}

fn definition(changes: Value) -> Value {
    let mut made = json!({
        "taskQueueId": "local/host", "schedulerId": "rust", "created": at(0), "deadline": at(60), "expires": at(1440),
        "payload": {
            "command": [["/bin/sh", "-c", "mkdir o; printf plain > o/a.txt; printf secret > o/b.txt"]], "maxRunTime": 60,
            "artifacts": [
                {"type": "file", "path": "o/a.txt", "name": "public/a.txt"}, {"type": "file", "path": "o/b.txt", "name": "private/b.txt"},
            ],
        },
        "metadata": {"name": "Rust", "description": "made by Rust", "owner": "rust@example.com", "source": "https://example.com/"},
        "extra": {"kept": [null, 1.0, {"deep": "ä"}]},
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        made[key] = value.clone();
    }
    made
}

/// A task is created, waited for, listed, and its artifacts are read, whichever way.
async fn task() -> Result<()> {
    let queue = Queue::new(signed()?)?;
    let (id, group) = (slugid::nice(), slugid::nice());
    let definition = definition(json!({"taskGroupId": group}));
    queue.createTask(&id, &definition).await?;
    ensure!(queue.createTask(&id, &definition).await?["status"]["taskId"] == json!(id));
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let state = queue.status(&id).await?["status"]["state"].as_str().unwrap_or_default().to_owned();
        match state.as_str() {
            "completed" => break,
            "failed" | "exception" => bail!("{id} is {state}"),
            _ if Instant::now() > until => bail!("{id} does not end"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    let read = queue.task(&id).await?;
    ensure!(read["payload"] == definition["payload"] && read["extra"] == definition["extra"], "{read}");
    let listed = queue.listTaskGroup(&group, None, None).await?;
    ensure!(listed["tasks"][0]["status"]["taskId"] == json!(id) && listed["tasks"][1].is_null(), "{listed}");

    // not signed: the library's signature leaves the query out, which Hawk has in it
    let open = Queue::new(root_url()?.as_str())?;
    let (mut names, mut token) = (Vec::new(), None::<String>);
    loop {
        let page = open.listArtifacts(&id, "0", token.as_deref(), Some("1")).await?;
        names.extend(page["artifacts"].as_array().into_iter().flatten().map(|each| each["name"].as_str().unwrap_or_default().to_owned()));
        token = page["continuationToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    for name in ["private/b.txt", "public/a.txt", "public/logs/live.log"] {
        ensure!(names.iter().any(|each| each == name), "{name} is not among {names:?}");
    }
    for (name, content) in [("public/a.txt", "plain"), ("private/b.txt", "secret")] {
        for run in [Some("0"), None] {
            let (bytes, kind) = download_artifact_to_vec(&id, run, name, &Retry::default(), &queue).await?;
            ensure!(bytes == content.as_bytes() && kind.starts_with("text/plain"), "{name}: {bytes:?} of {kind}");
        }
    }
    let address = queue.latestArtifact_signed_url(&id, "private/b.txt", HOUR)?;
    ensure!(reqwest::get(address).await?.json::<Value>().await?["storageType"] == json!("s3"));
    let address = queue.getLatestArtifact_signed_url(&id, "private/b.txt", HOUR)?;
    ensure!(reqwest::get(address).await?.error_for_status()?.text().await? == "secret");
    Ok(())
}

/// Clients come, change and go; credentials that were narrowed stay narrow.
async fn clients() -> Result<()> {
    let auth = Auth::new(signed()?)?;
    let id = format!("rust/{}", slugid::nice());
    let made = auth.createClient(&id, &json!({"description": "made by Rust", "expires": at(60), "scopes": ["secrets:get:rust/*"]})).await?;
    let own = Credentials::new(&id, made["accessToken"].as_str().context("no token")?);
    async fn scopes(builder: ClientBuilder) -> Result<Vec<String>> {
        let found = Auth::new(builder)?.currentScopes().await?;
        let all = found["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(all.filter(|scope| scope.starts_with("secrets:")).map(str::to_owned).collect())
    }
    ensure!(scopes(with(&own)?).await? == ["secrets:get:rust/*"]);
    ensure!(scopes(with(&own)?.authorized_scopes(["secrets:get:rust/a"])).await? == ["secrets:get:rust/a"]);
    ensure!(scopes(with(&own.create_temp_creds(HOUR, ["secrets:get:rust/b"])?)?).await? == ["secrets:get:rust/b"]);
    let named = Credentials::from_env()?.create_named_temp_creds("rust/named", HOUR, ["secrets:get:rust/c"])?;
    ensure!(scopes(with(&named)?).await? == ["secrets:get:rust/c"]);
    refused(Auth::new(with(&own.create_temp_creds(HOUR, ["secrets:set:more"])?)?)?.currentScopes().await, 401, "secrets:set:more")?;

    auth.updateClient(&id, &json!({"description": "changed", "expires": at(60), "scopes": []})).await?;
    ensure!(scopes(with(&own)?).await?.is_empty());
    let open = Auth::new(root_url()?.as_str())?; // not signed, for the query's sake
    ensure!(open.listClients(Some(&id), None, None).await?["clients"][0]["description"] == json!("changed"));
    auth.disableClient(&id).await?;
    refused(Auth::new(with(&own)?)?.currentScopes().await, 401, "")?;
    auth.deleteClient(&id).await?;
    refused(auth.client(&id).await, 404, &id)
}

/// A document comes back as it went in, also by a signed address, and goes when it is told to.
async fn secrets() -> Result<()> {
    let service = Secrets::new(signed()?)?;
    let name = format!("rust/{}", slugid::nice());
    let secret = json!({"z": 1.0, "a": [null, u64::MAX, "\u{0}ä"], "nested": {"b": true}});
    service.set(&name, &json!({"secret": secret, "expires": at(60)})).await?;
    ensure!(service.get(&name).await?["secret"] == secret);
    let found = reqwest::get(service.get_signed_url(&name, HOUR)?).await?.error_for_status()?.json::<Value>().await?;
    ensure!(found["secret"] == secret, "{found}");
    let listed = service.list(None, None).await?;
    ensure!(listed["secrets"].as_array().into_iter().flatten().any(|each| *each == json!(name)), "{listed}");
    service.remove(&name).await?;
    refused(service.get(&name).await, 404, &name)
}

/// Each kind of refusal is an error that has the status, and the message first.
async fn refusals() -> Result<()> {
    let queue = Queue::new(signed()?)?;
    refused(queue.task(&slugid::nice()).await, 404, "task")?;
    refused(queue.task("no-slug").await, 400, "no-slug")?;
    refused(queue.createTask(&slugid::nice(), &definition(json!({"deadline": at(-60)}))).await, 400, "deadline")?;
    refused(queue.createTask(&slugid::nice(), &definition(json!({"priority": "utmost"}))).await, 400, "utmost")?;
    let id = slugid::nice();
    queue.createTask(&id, &definition(json!({"taskQueueId": "nobody/here"}))).await?;
    refused(queue.createTask(&id, &definition(json!({"taskQueueId": "nobody/there"}))).await, 409, &id)?;
    refused(Queue::new(root_url()?.as_str())?.createTask(&slugid::nice(), &definition(json!({}))).await, 403, "queue:create-task")?;
    refused(Auth::new(with(&Credentials::new("nobody", "x"))?)?.currentScopes().await, 401, "nobody")
}

/// What the library uploads, inline or by address, it downloads again with the hashes right.
async fn objects() -> Result<()> {
    let service = Object::new(signed()?)?;
    for size in [0_usize, 5, 8191, 8192, 3 << 20] {
        let content: Vec<u8> = (0..size).map(|index| (index * index % 251) as u8).collect();
        let name = format!("rust/{}", slugid::nice());
        upload_from_buf("rust", &name, "application/x-made", &(Utc::now() + Span::hours(1)), &content, &Retry::default(), &service, &slugid::nice()).await?;
        let (bytes, kind) = download_to_vec(&name, &Retry::default(), &service).await?;
        ensure!(bytes == content && kind == "application/x-made", "{size} bytes do not come back: {} of {kind}", bytes.len());
        ensure!(service.object(&name).await?["projectId"] == json!("rust"));
    }
    Ok(())
}
