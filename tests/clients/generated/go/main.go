// A program with a generated client: what it sees, as JSON. usage: program tour|refused|body
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"tcbox.example/program/tc"
)

func definition(group string) *tc.QueueCreateTaskRequest {
	return &tc.QueueCreateTaskRequest{
		TaskQueueID: tc.Ptr("test/generated"),
		TaskGroupID: &group,
		Created:     tc.At(time.Now()),
		Deadline:    tc.At(time.Now().Add(time.Hour)),
		Payload:     json.RawMessage(`{"command": ["true"]}`),
		Priority:    tc.Ptr(tc.QueueTaskPriorityHigh),
		Metadata:    tc.QueueTaskMetadata{Name: "a task", Owner: "nobody@localhost", Source: "http://localhost/"},
	}
}

func tour(ctx context.Context, queue *tc.Queue) (map[string]any, error) {
	group := tc.Slugid()
	var tasks, seen []string
	for range 3 {
		task := tc.Slugid()
		tasks = append(tasks, task)
		if _, err := queue.CreateTask(ctx, task, definition(group)); err != nil {
			return nil, err
		}
	}
	status, err := queue.Status(ctx, tasks[0])
	if err != nil {
		return nil, err
	}
	for page, err := range tc.Pages(func(token string) (*tc.QueueListTaskGroupResponse, error) {
		return queue.ListTaskGroup(ctx, group, &tc.QueueListTaskGroupOptions{ContinuationToken: token, Limit: "2"})
	}) {
		if err != nil {
			return nil, err
		}
		for _, each := range page.Tasks {
			seen = append(seen, each.Status.TaskID)
		}
	}
	_, err = queue.Status(ctx, tc.Slugid())
	var refused *tc.Error
	if !errors.As(err, &refused) {
		return nil, fmt.Errorf("no error of the API: %w", err)
	}
	task, err := queue.Task(ctx, tasks[0])
	if err != nil {
		return nil, err
	}
	binding, err := tc.QueueEvents{}.TaskDefined(tc.QueueTaskDefinedKey{TaskID: tasks[0]})
	if err != nil {
		return nil, err
	}
	url, err := queue.TaskSignedURL(tasks[0], time.Minute)
	return map[string]any{
		"state":    status.Status.State,
		"listed":   fmt.Sprint(seen) == fmt.Sprint(tasks),
		"error":    refused.Status,
		"priority": task.Priority,
		"binding":  binding.RoutingKeyPattern == "primary."+tasks[0]+".*.*.*.*.*.*.*.#",
		"url":      url,
	}, err
}

func refused(ctx context.Context, queue *tc.Queue, ofBody bool) map[string]any {
	task := tc.Slugid()
	var err error
	if ofBody {
		_, err = queue.Status(ctx, task)
	} else {
		_, err = queue.CreateTask(ctx, task, definition(task))
	}
	var mismatch *tc.MismatchError
	if errors.As(err, &mismatch) {
		return map[string]any{"kind": "mismatch", "message": err.Error(), "differences": mismatch.Differences, "status": mismatch.Refused.Status}
	}
	if err != nil {
		return map[string]any{"kind": "body", "message": err.Error()}
	}
	return map[string]any{"kind": "none"}
}

func main() {
	ctx := context.Background()
	queue, err := tc.NewQueue(nil)
	if err != nil {
		log.Fatal(err)
	}
	var made map[string]any
	if os.Args[1] == "tour" {
		made, err = tour(ctx, queue)
	} else {
		made = refused(ctx, queue, os.Args[1] == "body")
	}
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(made); err != nil {
		log.Fatal(err)
	}
}
