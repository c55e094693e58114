package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUpload(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	write(t, dir, map[string]string{"b.txt": "둘", "a/one.txt": "하나", "a/empty": ""})
	told := [2]int64{}
	stored, err := Upload(t.Context(), w.ours.Client, dir, func(done, total int64) { told = [2]int64{done, total} })
	if err != nil || stored.Files != 3 || stored.Size != 9 || told != [2]int64{9, 9} {
		t.Fatalf("%+v, told %v, %v", stored, told, err)
	}
	tree, err := artifact.ReadTree(t.Context(), w.store, stored.Tree)
	if err != nil || tree.Files[0].Path != "a/empty" || tree.Files[2].Path != "b.txt" {
		t.Errorf("%+v, %v", tree, err)
	}
	if again, err := Upload(t.Context(), w.ours.Client, dir, func(int64, int64) {}); err != nil || again != stored {
		t.Errorf("again: %+v, %v", again, err)
	}
	single, err := Upload(t.Context(), w.ours.Client, filepath.Join(dir, "b.txt"), func(int64, int64) {})
	if err != nil || single.Files != 1 {
		t.Errorf("one file: %+v, %v", single, err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a link": dir, "an empty folder": t.TempDir(), "what is not there": filepath.Join(dir, "nothing")} {
		if _, err := Upload(t.Context(), w.ours.Client, path, func(int64, int64) {}); err == nil {
			t.Errorf("%s was uploaded", name)
		}
	}
}

func TestDownload(t *testing.T) {
	w := newWorld(t)
	dir, path := t.TempDir(), "/models/"+w.ours.model+"/outputs/release"
	done := int64(0)
	tree, err := Download(t.Context(), w.ours.Client, path, dir, func(n, _ int64) { done = n })
	if err != nil || len(tree.Files) != 1 || done != int64(tree.Size()) {
		t.Fatalf("%+v, %v", tree, err)
	}
	file := filepath.Join(dir, "model.txt")
	if data, err := os.ReadFile(file); err != nil || string(data) != "weights of "+w.ours.org {
		t.Errorf("%q, %v", data, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Download(t.Context(), w.ours.Client, path, dir, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(file); err != nil || !os.SameFile(info, again) {
		t.Errorf("what was here already was written again: %v", err)
	}
	write(t, dir, map[string]string{"model.txt": "changed"})
	if _, err := Download(t.Context(), w.ours.Client, path, dir, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(file); string(data) != "weights of "+w.ours.org {
		t.Errorf("a changed file was kept: %q", data)
	}
}

// liar is a server whose files are not what it says.
func liar(t *testing.T, listing any, body func(w http.ResponseWriter)) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/files") {
			json.NewEncoder(w).Encode(listing)
			return
		}
		body(w)
	}))
	t.Cleanup(server.Close)
	return NewClient(server.URL, "key")
}

func TestDownloadDistrusts(t *testing.T) {
	text := func(w http.ResponseWriter) { io.WriteString(w, "hello") }
	good := unit.DigestOf([]byte("hello"))
	list := func(path string, d unit.Digest) artifact.Tree {
		return artifact.Tree{Format: artifact.TreeFormat, Files: []artifact.File{{Path: path, Digest: d, Size: 5}}}
	}
	for _, path := range []string{"../evil", "/evil", "a/../../evil", "..", "", ".", "a//b", `a\..\..\evil`, "a/", "C:evil", "a\x00b"} {
		t.Run(fmt.Sprintf("path %q", path), func(t *testing.T) {
			outside := t.TempDir()
			dir := filepath.Join(outside, "models")
			if _, err := Download(t.Context(), liar(t, list(path, good), text), "/x", dir, func(int64, int64) {}); err == nil {
				t.Error("was written")
			}
			mustHold(t, outside)
		})
	}
	endless := func(w http.ResponseWriter) {
		block := make([]byte, 1<<20)
		for range 64 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	for name, body := range map[string]func(http.ResponseWriter){
		"other bytes":   func(w http.ResponseWriter) { io.WriteString(w, "hellO") },
		"fewer bytes":   func(w http.ResponseWriter) { io.WriteString(w, "hell") },
		"more bytes":    func(w http.ResponseWriter) { io.WriteString(w, "hello!") },
		"endless bytes": endless,
		"cut off":       func(w http.ResponseWriter) { w.Header().Set("Content-Length", "5"); io.WriteString(w, "he") },
		"a refusal":     func(w http.ResponseWriter) { http.Error(w, "no", http.StatusForbidden) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Download(t.Context(), liar(t, list("a.txt", good), body), "/x", dir, func(int64, int64) {}); err == nil {
				t.Error("was taken")
			}
			mustHold(t, dir)
		})
	}
}

// mustHold wants no file below dir.
func mustHold(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			t.Errorf("%s was left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClientErrors(t *testing.T) {
	w := newWorld(t)
	var problem *Problem
	_, err := w.ours.Post(t.Context(), "/jobs", "", json.RawMessage(w.spec(w.ours, `"count":1`, `"count":8192`, "3600000", "31536000000")))
	if !errors.As(err, &problem) || problem.Code != "account.short" || problem.Status != http.StatusPaymentRequired || problem.Hint == "" {
		t.Errorf("a refusal: %v, %+v", err, problem)
	}
	_, err = w.office.Post(t.Context(), "/orgs", "", map[string]any{"name": "x", "kind": "company", "country": "KR", "budget": 1})
	if err == nil || !strings.Contains(err.Error(), "budget") {
		t.Errorf("a field too many is not named: %v", err)
	}
	for name, body := range map[string]string{"a proxy's page": "<html>502</html>", "an empty problem": "{}"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, body)
		}))
		if err := NewClient(server.URL, "k").Get(t.Context(), "/centre", new(Centre)); err == nil || !strings.Contains(err.Error(), "502") {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	if err := NewClient(server.URL, "k").Get(t.Context(), "/centre", new(Centre)); err == nil || !strings.Contains(err.Error(), "/centre") {
		t.Errorf("an answer that is no JSON: %v", err)
	}
	server.Close()
	var away *UnreachableError
	if err := NewClient(server.URL+"/", "k").Get(t.Context(), "/centre", new(Centre)); !errors.As(err, &away) || away.Hint() == "" || !strings.Contains(err.Error(), "no centre answers at "+server.URL) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := w.ours.Get(ctx, "/centre", new(Centre)); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// A followed log goes on until the job ends, over attempts, and shows each
// line once.
func TestFollowLogs(t *testing.T) {
	w := newWorld(t)
	id := w.made(w.ours.Client, "/jobs", w.spec(w.ours))
	stream, err := w.ours.Stream(t.Context(), "/jobs/"+id+"/logs?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	lines := make(chan string)
	go func() {
		data := make([]byte, 1000)
		for {
			n, err := stream.Read(data)
			if n > 0 {
				lines <- string(data[:n])
			}
			if err != nil {
				lines <- err.Error()
				return
			}
		}
	}()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("waiting for %q", want)
		}
	}
	w.start(id)
	attempt := engine.Attempt{Job: job.ID(id), Number: 1}
	w.engine.say(attempt, "step 1 of the first attempt\n")
	next("step 1 of the first attempt\n")
	w.engine.say(attempt, "step 2\n")
	next("step 2\n")
	w.control(centre.Controller, centre.LoseJob{Job: job.ID(id), Attempt: 1, Reason: "power"})
	w.start(id)
	attempt.Number = 2
	w.engine.say(attempt, "again\n")
	next("again\n")
	w.engine.say(attempt, "the end\n")
	w.control(centre.Controller, centre.FinishJob{Finished: job.Finished{ID: job.ID(id), Attempt: 2, State: job.Failed, Started: testNow, Ended: testNow}})
	next("the end\n")
	next("EOF")
	if a := w.send(http.MethodGet, Prefix+"/jobs/"+id+"/logs?stream=stderr", w.ours.Key, ""); a.body != "err: again\nthe end\n" {
		t.Errorf("stderr: %q", a.body)
	}
	waits := w.made(w.ours.Client, "/jobs", w.spec(w.ours))
	for path, want := range map[string]string{"/logs": "", "/metrics": "[]\n", "/progress": `{"done":0,"total":0}` + "\n"} {
		if a := w.send(http.MethodGet, Prefix+"/jobs/"+waits+path, w.ours.Key, ""); a.status != http.StatusOK || a.body != want {
			t.Errorf("%s of a waiting job: %d %q", path, a.status, a.body)
		}
	}
}
