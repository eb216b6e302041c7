// Client uses an instance by Taskcluster's own library for Go. It takes one argument, what to try, and the credentials
// from the environment; it is silent when all is as it should be, and says what is not.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/httpbackoff/v3"
	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v97/clients/client-go"
	"github.com/taskcluster/taskcluster/v97/clients/client-go/tcauth"
	"github.com/taskcluster/taskcluster/v97/clients/client-go/tcobject"
	"github.com/taskcluster/taskcluster/v97/clients/client-go/tcqueue"
	"github.com/taskcluster/taskcluster/v97/clients/client-go/tcsecrets"
)

var (
	credentials = tcclient.CredentialsFromEnvVars()
	rootURL     = tcclient.RootURLFromEnvVars()
)

func main() {
	tries := map[string]func(){"services": services, "task": task, "clients": clients, "secrets": secrets, "errors": refusals, "objects": objects}
	if len(os.Args) != 2 || tries[os.Args[1]] == nil {
		fail("no such thing to try: %v", os.Args[1:])
	}
	tries[os.Args[1]]()
}

// services: every service that the library and the instance both know answers, signed or not.
func services() {
	for _, as := range []*tcclient.Credentials{nil, credentials} {
		must(tcauth.New(as, rootURL).Ping())
		must(tcqueue.New(as, rootURL).Ping())
		must(tcsecrets.New(as, rootURL).Ping())
		must(tcobject.New(as, rootURL).Ping())
		must(tcqueue.New(as, rootURL).Version())
		must(tcqueue.New(as, rootURL).Lbheartbeat())
		must(tcqueue.New(as, rootURL).Heartbeat())
	}
}

// task: a task is created, waited for, found in its group, and its artifacts are read, whichever way.
func task() {
	queue := tcqueue.NewFromEnv()
	id, group := slugid.Nice(), slugid.Nice()
	created := got(queue.CreateTask(id, definition(group, "mkdir o; printf plain | tee o/a.txt; printf secret | tee o/b.txt", true)))
	same("a new task's id", created.Status.TaskID, id)
	again := got(queue.CreateTask(id, definition(group, "mkdir o; printf plain | tee o/a.txt; printf secret | tee o/b.txt", true)))
	same("a task that is created twice alike", again.Status.TaskID, id)
	wait(queue, id, "completed")

	status := got(queue.Status(id)).Status
	same("runs", len(status.Runs), 1)
	same("reason", status.Runs[0].ReasonResolved, "completed")
	check("a run's times are in order", !time.Time(status.Runs[0].Resolved).Before(time.Time(status.Runs[0].Started)))
	read := got(queue.Task(id))
	same("the payload as it was sent", string(read.Payload), string(payload("mkdir o; printf plain | tee o/a.txt; printf secret | tee o/b.txt", true)))
	listed := got(queue.ListTaskGroup(group, "", ""))
	same("tasks of the group", len(listed.Tasks), 1)

	var names []string
	for token, first := "", true; first || token != ""; first = false {
		page := got(queue.ListArtifacts(id, "0", token, "1"))
		for _, artifact := range page.Artifacts {
			names = append(names, artifact.Name)
		}
		token = page.ContinuationToken
	}
	for _, name := range []string{"private/o/b.txt", "public/o/a.txt", "public/logs/live.log"} {
		check("artifact "+name+" among "+strings.Join(names, " "), slices.Contains(names, name))
	}
	content, kind, size, err := queue.DownloadArtifactToBuf(id, 0, "public/o/a.txt")
	must(err)
	same("a public artifact", string(content), "plain")
	same("its type", strings.Split(kind, ";")[0], "text/plain")
	same("its size", size, int64(5))
	file := filepath.Join(os.TempDir(), slugid.Nice())
	defer os.Remove(file)
	_, _, err = queue.DownloadArtifactToFile(id, -1, "private/o/b.txt", file)
	must(err)
	same("a private artifact in a file", string(got(os.ReadFile(file))), "secret")
	log, _, _, err := queue.DownloadArtifactToBuf(id, -1, "public/logs/live.log")
	must(err)
	check("a log", len(log) > 0)
	signed := got(queue.GetLatestArtifact_SignedURL(id, "private/o/b.txt", time.Minute))
	same("a private artifact by a signed address", fetch(signed.String()), "secret")

	same("canceling", got(queue.CancelTask(id)).Status.State, "completed")
	blocked := slugid.Nice()
	waiting := definition(group, "true", false)
	waiting.Dependencies = []string{blocked}
	other := slugid.Nice()
	_, err = queue.CreateTask(other, waiting)
	refused(err, 400, "InputError")
	waiting.Dependencies, waiting.TaskQueueID = nil, "nobody/here"
	_ = got(queue.CreateTask(other, waiting))
	same("a canceled task", got(queue.CancelTask(other)).Status.State, "exception")
}

// clients: clients and roles come, change and go; credentials that were narrowed stay narrow.
func clients() {
	auth := tcauth.NewFromEnv()
	id := "go/" + slugid.Nice()
	made := got(auth.CreateClient(id, &tcauth.CreateClientRequest{
		Description: "made by Go", Expires: in(time.Hour), Scopes: []string{"secrets:get:go/*", "assume:go-" + slugid.Nice()},
	}))
	own := &tcclient.Credentials{ClientID: id, AccessToken: made.AccessToken}
	scopes := got(tcauth.New(own, rootURL).CurrentScopes()).Scopes
	check("the scopes of a new client: "+strings.Join(scopes, " "), slices.Contains(scopes, "secrets:get:go/*"))

	temporary := got(own.CreateTemporaryCredentials(time.Hour, "secrets:get:go/a"))
	scopes = got(tcauth.New(temporary, rootURL).CurrentScopes()).Scopes
	check("the scopes of temporary credentials: "+strings.Join(scopes, " "), slices.Contains(scopes, "secrets:get:go/a") && !slices.Contains(scopes, "secrets:get:go/*"))
	named := got(credentials.CreateNamedTemporaryCredentials(id+"/named", time.Hour, "secrets:get:go/b"))
	check("named credentials are those of their name", named.ClientID == id+"/named")
	scopes = got(tcauth.New(named, rootURL).CurrentScopes()).Scopes
	check("the scopes of named credentials: "+strings.Join(scopes, " "), slices.Contains(scopes, "secrets:get:go/b"))
	limited := *own
	limited.AuthorizedScopes = []string{"secrets:get:go/c"}
	scopes = got(tcauth.New(&limited, rootURL).CurrentScopes()).Scopes
	check("authorized scopes limit: "+strings.Join(scopes, " "), !slices.Contains(scopes, "secrets:get:go/*"))

	changed := got(auth.UpdateClient(id, &tcauth.CreateClientRequest{Description: "changed", Expires: in(time.Hour), Scopes: []string{"secrets:list-secrets"}}))
	same("a changed description", changed.Description, "changed")
	reset := got(auth.ResetAccessToken(id))
	_, err := tcauth.New(own, rootURL).CurrentScopes()
	refused(err, 401, "AuthenticationFailed")
	own.AccessToken = reset.AccessToken
	_ = got(tcauth.New(own, rootURL).CurrentScopes())
	check("disabled", got(auth.DisableClient(id)).Disabled)
	_, err = tcauth.New(own, rootURL).CurrentScopes()
	refused(err, 401, "AuthenticationFailed")
	check("enabled", !got(auth.EnableClient(id)).Disabled)
	check("listed", len(got(auth.ListClients("", "", id)).Clients) == 1)

	role := "go-role:" + slugid.Nice()
	_ = got(auth.CreateRole(role, &tcauth.CreateRoleRequest{Description: "made by Go", Scopes: []string{"secrets:get:role"}}))
	expanded := got(auth.ExpandScopes(&tcauth.SetOfScopes{Scopes: []string{"assume:" + role}})).Scopes
	check("a role's scopes: "+strings.Join(expanded, " "), slices.Contains(expanded, "secrets:get:role"))
	must(auth.DeleteRole(role))
	must(auth.DeleteClient(id))
	_, err = auth.Client(id)
	refused(err, 404, "ResourceNotFound")
}

// secrets: a document comes back as it went in, letter by letter, and goes when it is told to.
func secrets() {
	service := tcsecrets.NewFromEnv()
	name := "go/" + slugid.Nice()
	exact := json.RawMessage(`{"z":1.0,"a":[null,12345678901234567890123,"\u0000ä"],"nested":{"b":true}}`)
	must(service.Set(name, &tcsecrets.Secret{Expires: in(time.Hour), Secret: exact}))
	var want, have bytes.Buffer
	must(json.Compact(&want, exact))
	must(json.Compact(&have, got(service.Get(name)).Secret))
	same("a secret", strings.ReplaceAll(have.String(), `\u00e4`, "ä"), want.String())
	var names []string
	for token, first := "", true; first || token != ""; first = false {
		page := got(service.List(token, ""))
		names, token = append(names, page.Secrets...), page.ContinuationToken
	}
	check("a listed secret", slices.Contains(names, name))
	same("by a signed address", strings.Contains(fetch(got(service.Get_SignedURL(name, time.Minute)).String()), "nested"), true)
	must(service.Remove(name))
	_, err := service.Get(name)
	refused(err, 404, "ResourceNotFound")
}

// refusals: each kind of refusal is the library's own error, with the published code.
func refusals() {
	queue := tcqueue.NewFromEnv()
	_, err := queue.Task(slugid.Nice())
	refused(err, 404, "ResourceNotFound")
	_, err = queue.Task("no-slug")
	refused(err, 400, "InvalidRequestArguments")
	wrong := definition(slugid.Nice(), "true", false)
	wrong.Deadline = in(-time.Hour)
	_, err = queue.CreateTask(slugid.Nice(), wrong)
	refused(err, 400, "InputError")
	wrong.Deadline, wrong.Priority = in(time.Hour), "utmost"
	_, err = queue.CreateTask(slugid.Nice(), wrong)
	refused(err, 400, "InputValidationError")
	id := slugid.Nice()
	first := definition(slugid.Nice(), "true", false)
	first.TaskQueueID = "nobody/here"
	_ = got(queue.CreateTask(id, first))
	first.Metadata.Name = "another"
	_, err = queue.CreateTask(id, first)
	refused(err, 409, "RequestConflict")
	_, err = tcqueue.New(nil, rootURL).CreateTask(slugid.Nice(), first)
	refused(err, 403, "InsufficientScopes")
	_, err = tcauth.New(&tcclient.Credentials{ClientID: "nobody", AccessToken: "x"}, rootURL).CurrentScopes()
	refused(err, 401, "AuthenticationFailed")
}

// objects: what the library uploads, inline or by address, it downloads again with the hashes right. By address (from 8 KiB on) it
// uploads without saying how long a body is, which a bucket does not take: LARGEST is the largest size to try.
func objects() {
	largest := got(strconv.Atoi(os.Getenv("LARGEST")))
	service := tcobject.NewFromEnv()
	for _, size := range []int{0, 5, 8191, 8192, 3 << 20} {
		if size > largest {
			continue
		}
		content := make([]byte, size)
		for index := range content {
			content[index] = byte(rand.Int())
		}
		name := "go/" + slugid.Nice()
		must(service.UploadFromBuf("go-project", name, "application/x-made", time.Now().Add(time.Hour), slugid.Nice(), content))
		file := filepath.Join(os.TempDir(), slugid.Nice())
		defer os.Remove(file)
		kind, length, err := service.DownloadToFile(name, file) // which, unlike its sister for buffers, can read nothing
		must(err)
		check(fmt.Sprintf("%d bytes come back", size), bytes.Equal(got(os.ReadFile(file)), content) && length == int64(size))
		same("the type", kind, "application/x-made")
		same("the project", got(service.Object(name)).ProjectID, "go-project")
	}
}

func payload(script string, artifacts bool) json.RawMessage {
	made := map[string]any{"command": [][]string{{"/bin/sh", "-c", script}}, "maxRunTime": 60}
	if artifacts {
		made["artifacts"] = []map[string]string{
			{"type": "file", "path": "o/a.txt", "name": "public/o/a.txt"}, {"type": "file", "path": "o/b.txt", "name": "private/o/b.txt"},
		}
	}
	return got(json.Marshal(made))
}

var begun = time.Now()

func definition(group, script string, artifacts bool) *tcqueue.TaskDefinitionRequest {
	return &tcqueue.TaskDefinitionRequest{
		TaskQueueID: "local/host", SchedulerID: "go", TaskGroupID: group, Payload: payload(script, artifacts),
		Created: tcclient.Time(begun), Deadline: tcclient.Time(begun.Add(time.Hour)), Expires: tcclient.Time(begun.Add(24 * time.Hour)),
		Metadata: tcqueue.TaskMetadata{Name: "Go", Description: "made by Go", Owner: "go@example.com", Source: "https://example.com/"},
		Tags:     map[string]string{"made-by": "Go"}, Extra: json.RawMessage(`{"kept":1.0}`),
	}
}

func in(from time.Duration) tcclient.Time { return tcclient.Time(time.Now().Add(from)) }

func wait(queue *tcqueue.Queue, id, state string) {
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		switch is := got(queue.Status(id)).Status.State; is {
		case state:
			return
		case "failed", "exception":
			fail("task %s is %s", id, is)
		}
	}
	fail("task %s does not come to be %s", id, state)
}

func fetch(address string) string {
	reply := got(http.Get(address))
	defer reply.Body.Close()
	body := got(io.ReadAll(reply.Body))
	same("the status of "+address+": "+string(body), reply.StatusCode, 200)
	return string(body)
}

func refused(err error, status int, code string) {
	var call *tcclient.APICallException
	var response httpbackoff.BadHttpResponseCode
	check(fmt.Sprintf("%v is an APICallException with a response", err), errors.As(err, &call) && errors.As(call.RootCause, &response))
	same("the status of "+err.Error(), response.HttpResponseCode, status)
	var body struct{ Code, Message string }
	must(json.Unmarshal([]byte(call.CallSummary.HTTPResponseBody), &body))
	same("the code of "+body.Message, body.Code, code)
	same("attempts", call.CallSummary.Attempts, 1)
}

func got[T any](value T, err error) T {
	must(err)
	return value
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same[T comparable](what string, have, want T) {
	check(fmt.Sprintf("%s: %v is not %v", what, have, want), have == want)
}

func check(what string, holds bool) {
	if !holds {
		fail("does not hold: %s", what)
	}
}

func fail(form string, values ...any) { panic(fmt.Sprintf(form, values...)) }
