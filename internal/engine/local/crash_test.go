//go:build linux

package local_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/engine/enginetest"
	"github.com/gaon-ai/gaon/internal/engine/local"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

// ownerWord makes this binary a centre that starts work and is killed.
const ownerWord = "engine-owner"

const ownerAttempts = 12

func task(a engine.Attempt, argv ...string) engine.Task {
	return engine.Task{Attempt: a, Argv: argv, Memory: 1 << 30, TimeLimit: unit.Hour}
}

func attemptOf(n int) engine.Attempt {
	return engine.Attempt{Job: job.ID(fmt.Sprintf("J%d", n)), Number: 1}
}

// own is the life of that centre: it starts attempts until it is killed.
func own(data string) int {
	store, err := folder.Open(filepath.Join(data, "artifacts"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("opening")
	e, err := local.Open(ctx, local.Config{Folder: filepath.Join(data, "engine"), Store: store, Country: "KR", NodeName: "here"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for n := range ownerAttempts {
		if err := e.Start(ctx, task(attemptOf(n), "gaon", enginetest.Word, "count", "50")); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	time.Sleep(time.Hour)
	return 0
}

// await waits for the end of an attempt.
func await(t *testing.T, e *local.Engine, a engine.Attempt, states ...string) engine.Observation {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		o, err := e.Observe(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range states {
			if o.State == state {
				return o
			}
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(filepath.Join(e.Folder(a), "supervisor.log"))
			t.Fatalf("attempt %s is %s, want %v; its supervisor said: %s", a, o.State, states, said)
		}
	}
}

func said(t *testing.T, e *local.Engine, a engine.Attempt, stream string) string {
	t.Helper()
	r, err := e.Logs(t.Context(), a, stream, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// awaitSaid waits until the work has said something.
func awaitSaid(t *testing.T, e *local.Engine, a engine.Attempt, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said(t, e, a, engine.Stdout), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("attempt %s did not say %q", a, text)
		}
	}
}

// TestKilledCentre: a centre killed at any moment while it starts work finds
// each attempt again, and each ran once.
func TestKilledCentre(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 4 {
		c := config(t)
		data := filepath.Dir(c.Folder)
		owner := exec.Command(os.Args[0], ownerWord, data)
		out, err := owner.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := owner.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if line != "opening\n" {
			t.Fatalf("the centre said %q, %v", line, err)
		}
		time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
		owner.Process.Kill()
		owner.Wait()
		e := open(t, c)
		found, err := e.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d attempts found after the kill", len(found))
		for n := range ownerAttempts {
			if err := e.Start(t.Context(), task(attemptOf(n), "gaon", enginetest.Word, "count", "50")); err != nil {
				t.Fatal(err)
			}
		}
		for n := range ownerAttempts {
			a := attemptOf(n)
			if o := await(t, e, a, engine.Ended, engine.Lost); o.State != engine.Ended || o.ExitCode != 0 {
				t.Fatalf("observation %+v", o)
			}
			runs, err := os.ReadFile(filepath.Join(e.Folder(a), "..", "keep", "runs"))
			if err != nil || strings.Count(string(runs), "\n") != 1 {
				t.Fatalf("attempt %s ran %d times, %v", a, strings.Count(string(runs), "\n"), err)
			}
		}
		e.Close()
	}
}

// processID reads the process that an attempt hangs on, and its parent, the
// supervisor.
func supervisorOf(t *testing.T, e *local.Engine, a engine.Attempt) int {
	t.Helper()
	return partOf(t, e, a, false)
}

// partOf finds the supervisor of an attempt, or the process inside.
func partOf(t *testing.T, e *local.Engine, a engine.Attempt, inside bool) int {
	t.Helper()
	for pid := range processesOf(t) {
		argv, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil {
			continue
		}
		words := strings.Split(strings.TrimRight(string(argv), "\x00"), "\x00")
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil || strings.Contains(string(env), "GAON_SUPERVISE_STAGE=inside") != inside {
			continue
		}
		if len(words) == 3 && words[1] == "supervise" && words[2] == e.Folder(a) {
			return pid
		}
	}
	t.Fatalf("attempt %s has no supervisor", a)
	return 0
}

func processesOf(t *testing.T) map[int]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	pids := map[int]bool{}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids[pid] = true
		}
	}
	return pids
}

// TestKilledSupervisor: an attempt whose supervisor was killed is lost, and
// nothing of it runs when it is said to be.
func TestKilledSupervisor(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{local.SandboxNamespaces, local.SandboxBubblewrap, local.SandboxNone} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", kind, restart), func(t *testing.T) {
				t.Parallel()
				c := config(t)
				c.Sandbox = kind
				e := open(t, c)
				a := engine.Attempt{Job: "J1", Number: 1}
				if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "beat")); err != nil {
					t.Fatal(err)
				}
				awaitSaid(t, e, a, "ready")
				supervisor := supervisorOf(t, e, a)
				if restart {
					e.Close()
				}
				if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				if restart {
					e = open(t, c)
				}
				o := await(t, e, a, engine.Lost, engine.Ended)
				if o.State != engine.Lost || !strings.Contains(o.Reason, "supervisor was killed") || o.Started == 0 {
					t.Fatalf("observation %+v, want lost", o)
				}
				beat := filepath.Join(e.Folder(a), "..", "keep", "beat")
				before, err := os.ReadFile(beat)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
				if after, err := os.ReadFile(beat); err != nil || string(after) != string(before) {
					t.Fatalf("the work goes on after it was lost: %s, %s, %v", before, after, err)
				}
				// The next attempt goes on from there.
				b := engine.Attempt{Job: "J1", Number: 2}
				if err := e.Start(t.Context(), task(b, "gaon", enginetest.Word, "watch", "keep/beat")); err != nil {
					t.Fatal(err)
				}
				if o := await(t, e, b, engine.Ended, engine.Lost); o.ExitCode != 0 {
					t.Fatalf("observation %+v", o)
				}
				if err := e.Forget(t.Context(), a, true); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestKilledInside: when the first process of a sandbox is killed, its work
// is gone with it and the attempt says why.
func TestKilledInside(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Sandbox = local.SandboxNamespaces
	e := open(t, c)
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "beat")); err != nil {
		t.Fatal(err)
	}
	awaitSaid(t, e, a, "ready")
	if err := syscall.Kill(partOf(t, e, a, true), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if o := await(t, e, a, engine.Ended, engine.Lost); o.State != engine.Ended || o.ExitCode != 128+9 || !strings.Contains(o.Reason, "without a report") {
		t.Fatalf("observation %+v", o)
	}
	beat := filepath.Join(e.Folder(a), "..", "keep", "beat")
	before, err := os.Stat(beat)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if after, err := os.Stat(beat); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Fatal("the work lives on")
	}
}

// TestRemovedFolder: work whose data folder was removed ends, and its
// supervisor too; nobody could ever ask for it again.
func TestRemovedFolder(t *testing.T) {
	t.Parallel()
	c := config(t)
	e := open(t, c)
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "sleep", "1000")); err != nil {
		t.Fatal(err)
	}
	await(t, e, a, engine.Running)
	supervisor, inside := supervisorOf(t, e, a), partOf(t, e, a, true)
	e.Close()
	if err := os.RemoveAll(filepath.Dir(c.Folder)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		alive := 0
		for _, pid := range []int{supervisor, inside} {
			if argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(argv), "supervise") {
				alive++
			}
		}
		if alive == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d processes of a removed folder go on", alive)
		}
	}
}

// TestReplacedProgram: an attempt claimed by a program that is gone is run by
// the one that is there.
func TestReplacedProgram(t *testing.T) {
	t.Parallel()
	c := config(t)
	e := open(t, c)
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "exit", "3")); err != nil {
		t.Fatal(err)
	}
	await(t, e, a, engine.Ended)
	e.Close()
	for _, name := range []string{"running.json", "end.json"} {
		if err := os.Remove(filepath.Join(e.Folder(a), name)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(e.Folder(a), "task.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	program, err := filepath.EvalSymlinks(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	replaced := strings.ReplaceAll(string(data), `"program":"`+program, `"program":"/no/such/build/gaon`)
	if replaced == string(data) {
		t.Fatalf("the task does not name %s: %s", program, data)
	}
	if err := os.WriteFile(path, []byte(replaced), 0o600); err != nil {
		t.Fatal(err)
	}
	e = open(t, c)
	if o := await(t, e, a, engine.Ended); o.ExitCode != 3 {
		t.Fatalf("observation %+v", o)
	}
}

// TestSupervisorAskedToEnd: a machine that shuts down asks the supervisor, and
// the attempt gets its grace and is lost, not failed.
func TestSupervisorAskedToEnd(t *testing.T) {
	t.Parallel()
	e := open(t, config(t))
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "term")); err != nil {
		t.Fatal(err)
	}
	awaitSaid(t, e, a, "ready")
	if err := syscall.Kill(supervisorOf(t, e, a), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if o := await(t, e, a, engine.Lost, engine.Ended); o.State != engine.Lost || o.ExitCode != 7 {
		t.Fatalf("observation %+v, want lost after its own end", o)
	}
}

// TestClaimedOnly: what was claimed and never begun begins after a restart;
// what was stopped before never does.
func TestClaimedOnly(t *testing.T) {
	t.Parallel()
	c := config(t)
	e := open(t, c)
	a, b := engine.Attempt{Job: "J1", Number: 1}, engine.Attempt{Job: "J2", Number: 1}
	for _, a := range []engine.Attempt{a, b} {
		if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "count")); err != nil {
			t.Fatal(err)
		}
		await(t, e, a, engine.Ended)
	}
	e.Close()
	for _, a := range []engine.Attempt{a, b} {
		for _, name := range []string{"running.json", "end.json", "lock", "work/out/runs/runs", "work/out/runs"} {
			if err := os.Remove(filepath.Join(e.Folder(a), name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(e.Folder(b), "stop.json"), []byte(`{"kill_at":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	e = open(t, c)
	if o := await(t, e, a, engine.Ended); o.ExitCode != 0 || o.Started == 0 {
		t.Fatalf("observation %+v, want one that ran", o)
	}
	if o := await(t, e, b, engine.Ended); !o.Stopped || o.Started != 0 {
		t.Fatalf("observation %+v, want one stopped before it began", o)
	}
}

// TestAnotherBoot: after the machine was started anew nothing is looked for
// among its processes, whose numbers mean others now.
func TestAnotherBoot(t *testing.T) {
	t.Parallel()
	c := config(t)
	e := open(t, c)
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "exit", "0")); err != nil {
		t.Fatal(err)
	}
	await(t, e, a, engine.Ended)
	e.Close()
	running := fmt.Sprintf(`{"started":1000,"process":{"pid":%d,"start":1,"boot":"another"}}`, os.Getpid())
	err := errors.Join(os.Remove(filepath.Join(e.Folder(a), "end.json")),
		os.WriteFile(filepath.Join(e.Folder(a), "running.json"), []byte(running), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	e = open(t, c)
	if o := await(t, e, a, engine.Lost, engine.Ended); o.State != engine.Lost || !strings.Contains(o.Reason, "anew") {
		t.Fatalf("observation %+v, want lost by the machine's start", o)
	}
}

// TestBrokenSupervisor: an attempt whose supervisor cannot live ends with a
// reason instead of being tried for ever.
func TestBrokenSupervisor(t *testing.T) {
	t.Parallel()
	c := config(t)
	script := filepath.Join(t.TempDir(), "supervisor")
	good := filepath.Join(t.TempDir(), "good")
	text := fmt.Sprintf("#!/bin/sh\n[ -e %s ] && exec %s supervise \"$@\"\necho broken\nexit 1\n", good, os.Args[0])
	if err := errors.Join(os.WriteFile(script+".text", []byte(text), 0o644), os.WriteFile(good, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	install(t, script+".text", script)
	c.SupervisorArgv = []string{script}
	e := open(t, c)
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "exit", "0")); err != nil {
		t.Fatal(err)
	}
	if o := await(t, e, a, engine.Ended, engine.Lost); o.ExitCode != 127 || !strings.Contains(o.Reason, "cannot be started") {
		t.Fatalf("observation %+v", o)
	}
}
