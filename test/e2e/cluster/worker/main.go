// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command worker is the container of the Jobs that the cluster's suite runs. It does what its subject's name says: fail-
// for good, later- at the first attempt, else it succeeds. Its termination message repeats what it was given.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

func main() { os.Exit(work()) }

func work() int {
	subject := os.Getenv("ACCESS_TASK_SUBJECT")
	said, code := "done", 0
	switch {
	case strings.HasPrefix(subject, "fail-"):
		said, code = "no such door\n\x1b[31m", 3
	case strings.HasPrefix(subject, "later-") && os.Getenv("ACCESS_TASK_ATTEMPT") == "1":
		said, code = "later", 75
	}
	var event struct {
		Data struct{ TaskID string }
	}
	text, err := os.ReadFile("/var/run/access-task/event.json")
	if err == nil {
		err = json.Unmarshal(text, &event)
	}
	if err != nil || event.Data.TaskID != os.Getenv("ACCESS_TASK_ID") {
		said, code = fmt.Sprintf("the event is of the task %q: %v", event.Data.TaskID, err), 1
	}
	message := fmt.Sprintf("%s: %s %s for %s", said, os.Getenv("ACCESS_TASK_ACTION"), strings.ReplaceAll(os.Getenv("ACCESS_TASK_ENTITLEMENTS"), "\n", ","), subject)
	if err := os.WriteFile("/dev/termination-log", []byte(message), 0o600); err != nil {
		return 1
	}
	return code
}
