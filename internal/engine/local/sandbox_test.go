//go:build linux

package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/engine/enginetest"
	"github.com/gaon-ai/gaon/internal/engine/local"
	"github.com/gaon-ai/gaon/internal/unit"
)

var ctx = context.Background()

// shell runs a script as work and returns how it ended and what it said.
func shell(t *testing.T, e *local.Engine, script string, change func(*engine.Task)) (engine.Observation, string) {
	t.Helper()
	w := task(attemptOf(int(time.Now().UnixNano()%1e15)), "sh", "-c", script)
	if change != nil {
		change(&w)
	}
	if err := e.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	o := await(t, e, w.Attempt, engine.Ended, engine.Lost)
	return o, said(t, e, w.Attempt, engine.Stdout) + said(t, e, w.Attempt, engine.Stderr)
}

// TestEnforce: this machine holds work to everything, and says so. A machine
// for tests without namespaces is a failure, not an excuse.
func TestEnforce(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{local.SandboxNamespaces: true, local.SandboxBubblewrap: true, local.SandboxNone: false} {
		c := config(t)
		c.Sandbox = kind
		nodes, err := open(t, c).Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f := nodes["here"].Enforce
		if f.Network != want || f.Inputs != want || f.CPU != want || !f.Memory {
			t.Errorf("%s enforces %+v", kind, f)
		}
		if said := strings.Join(f.Remarks, " "); strings.Contains(said, "network") == want || !strings.Contains(said, "disk") {
			t.Errorf("%s remarks %q", kind, f.Remarks)
		}
		if nodes["here"].Memory < 256<<20 {
			t.Errorf("the machine has %s", nodes["here"].Memory)
		}
	}
}

// TestConfined: what a hostile script tries, and what it may do.
func TestConfined(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{local.SandboxNamespaces, local.SandboxBubblewrap} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Sandbox = kind
			e := open(t, c)
			for _, row := range []struct{ name, script, want string }{
				{"new user namespace", "unshare -U true && echo done", ""},
				{"new mount namespace", "unshare -m true && echo done", ""},
				{"mount", "mount -t tmpfs t /tmp && echo done", ""},
				{"remount", "mount -o remount,rw / && echo done", ""},
				{"write to the machine", "touch /usr/x /etc/x /var/x 2>/dev/null && echo done", ""},
				{"write to devices", "ls /dev | grep -E '^(sd|vd|nvme|mem|kmsg)' && echo done", ""},
				{"foreign processes", "ls /proc | grep -c '^[0-9]' | grep -qE '^[3-9]$' && echo few", "few"},
				{"signal to the first process", "kill -9 1 2>/dev/null; sleep 0.1; echo alive", "alive"},
				{"first process's files", "ls /proc/1/fd >/dev/null 2>&1 && cat /proc/1/environ && echo done", ""},
				{"powers", "grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | grep -v 0000000000000000", ""},
				{"no new powers", "grep -E '^NoNewPrivs:.1' /proc/self/status >/dev/null && echo none", "none"},
				{"sockets of services", "ls /run | grep -v '^gaon$'", ""},
				{"homes", "ls -A /root /home | grep -v ':$' | grep .", ""},
				{"scratch", "echo x > /tmp/x && echo x > $TMPDIR/x && echo x > /dev/shm/x && cat /tmp/x", "x"},
				{"null, zero, random", "head -c 3 /dev/zero >/dev/null && head -c 3 /dev/urandom > /dev/null && echo fine", "fine"},
				{"a child in the background", "(sleep 0.05; echo late > out/late) & wait; cat out/late", "late"},
				{"where", "[ \"$PWD\" = \"$HOME\" ] && [ -d in ] && [ -d out ] && [ -d keep ] && echo here", "here"},
				{"loopback of its own", "cat /proc/net/dev | grep -c ':'", "1"},
				{"size of scratch", "head -c 400M /dev/zero > /tmp/big 2>/dev/null && echo done", ""},
				{"core dumps", "ulimit -c", "0"},
			} {
				_, said := shell(t, e, row.script, nil)
				if got := lastLineOf(said); got != row.want && !(row.want == "" && !strings.Contains(said, "done")) {
					t.Errorf("%s: said %q, want %q", row.name, said, row.want)
				}
			}
		})
	}
}

func lastLineOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestLooseEnds: what work makes of its folder does not harm the engine.
func TestLooseEnds(t *testing.T) {
	t.Parallel()
	e := open(t, config(t))
	for _, row := range []struct{ name, script, refused string }{
		{"out is a link", "rm -rf out && ln -s /etc out", ""},
		{"out is a file", "rm -rf out && echo > out", ""},
		{"out is gone", "rm -rf out", ""},
		{"an output is a link", "ln -s /etc out/etc", ""},
		{"an output has a bad name", "mkdir 'out/a b'", "attempt.output"},
		{"too many outputs", "for i in $(seq 65); do mkdir out/o$i; done", "attempt.output"},
		{"a pipe among the files", "mkdir out/p && mkfifo out/p/pipe", "attempt.output"},
		{"the statement is a pipe", "mkfifo statement.json", "attempt.output"},
		{"the statement is a link", "ln -s /etc/passwd statement.json", "attempt.output"},
		{"the statement is a folder", "mkdir statement.json", "attempt.output"},
		{"progress and metrics are pipes", "mkfifo progress.json metrics.jsonl", ""},
		{"folders that cannot be removed", "mkdir -p out/a/b && echo > out/a/b/c && chmod 0 out/a/b/c && chmod 500 out/a/b out/a", ""},
	} {
		w := task(attemptOf(int(time.Now().UnixNano()%1e15)), "sh", "-c", row.script)
		if err := e.Start(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if o := await(t, e, w.Attempt, engine.Ended, engine.Lost); o.ExitCode != 0 {
			t.Fatalf("%s: observation %+v", row.name, o)
		}
		_, progressErr := e.Progress(t.Context(), w.Attempt)
		_, metricsErr := e.Metrics(t.Context(), w.Attempt, 0)
		if progressErr != nil || metricsErr != nil {
			t.Errorf("%s: progress %v, metrics %v", row.name, progressErr, metricsErr)
		}
		_, err := e.Collect(t.Context(), w.Attempt)
		var refusal interface{ Code() string }
		if row.refused == "" && err != nil || row.refused != "" && (!errors.As(err, &refusal) || refusal.Code() != row.refused) {
			t.Errorf("%s: collect says %v, want %q", row.name, err, row.refused)
		}
		if err := e.Forget(t.Context(), w.Attempt, false); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if entries, err := os.ReadDir(filepath.Join(e.Folder(w.Attempt), "work")); err == nil {
			t.Errorf("%s: forgotten, it left %v", row.name, entries)
		}
	}
}

// TestLogBound: work that talks without end does not fill the disk, and its
// log says that something is missing.
func TestLogBound(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.LogBytesMax = 100_000
	e := open(t, c)
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "say", "5000000")); err != nil {
		t.Fatal(err)
	}
	if o := await(t, e, a, engine.Ended); o.ExitCode != 0 {
		t.Fatalf("observation %+v", o)
	}
	text := said(t, e, a, engine.Stdout)
	if len(text) < 100_000 || len(text) > 100_200 || !strings.HasSuffix(text, "gaon: the rest of this stream was dropped: it is longer than 97.6 KiB\n") {
		t.Fatalf("the log has %d bytes and ends with %q", len(text), text[len(text)-80:])
	}
}

// TestLongPath: a socket is dialled however long its path is, and only if it
// is the work's own.
func TestLongPath(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Folder = filepath.Join(filepath.Dir(c.Folder), strings.Repeat("long-", 30), "engine")
	e := open(t, c)
	a := engine.Attempt{Job: "J1", Number: 1}
	if err := e.Start(t.Context(), task(a, "gaon", enginetest.Word, "serve")); err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if conn, err = e.Dial(t.Context(), a); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	answer, err := io.ReadAll(conn)
	conn.Close()
	if err != nil || string(answer) != "served by J1\n" {
		t.Fatalf("the service said %q, %v", answer, err)
	}
	foreign := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", foreign)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket := filepath.Join(e.Folder(a), "work", "serve.sock")
	if err := errors.Join(os.Symlink(foreign, socket+".new"), os.Rename(socket+".new", socket)); err != nil {
		t.Fatal(err)
	}
	if conn, err := e.Dial(t.Context(), a); err == nil {
		conn.Close()
		t.Fatal("a link to a foreign socket was dialled")
	}
	if err := e.Stop(t.Context(), a, 0); err != nil {
		t.Fatal(err)
	}
	await(t, e, a, engine.Ended)
}

// TestShow: what lies in a hidden place can be shown, and only that.
func TestShow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"shown", "hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{local.SandboxNamespaces, local.SandboxBubblewrap} {
		c := config(t)
		c.Sandbox, c.Show = kind, []string{filepath.Join(dir, "shown")}
		e := open(t, c)
		_, text := shell(t, e, fmt.Sprintf("cat %[1]s/shown; cat %[1]s/hidden 2>/dev/null; echo > %[1]s/shown 2>/dev/null || echo .", dir), nil)
		if !strings.HasPrefix(text, "shown") || strings.Contains(text, "hidden\n") || lastLineOf(text) == "shown" {
			t.Errorf("%s: work sees %q", kind, text)
		}
		if data, err := os.ReadFile(filepath.Join(dir, "shown")); err != nil || string(data) != "shown" {
			t.Errorf("%s: what was shown is now %q, %v", kind, data, err)
		}
	}
}

// TestTimeLimitOfMany: the time limit ends every process of an attempt, also
// those that ignore being asked.
func TestTimeLimitOfMany(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.LimitGrace = unit.Second
	e := open(t, c)
	o, _ := shell(t, e, "trap '' TERM; for i in $(seq 20); do (while :; do sleep 0.1; date > keep/beat; done) & done; wait", func(w *engine.Task) {
		w.TimeLimit = unit.Second / 2
		w.Job = "J1"
	})
	if o.ExitCode != 128+9 || !strings.Contains(o.Reason, "time limit") || o.Ended.Sub(o.Started) < 3*unit.Second/2 {
		t.Fatalf("observation %+v, want a kill after the grace", o)
	}
	beat := filepath.Join(e.Folder(o.Attempt), "..", "keep", "beat")
	before, err := os.Stat(beat)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if after, err := os.Stat(beat); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Fatalf("something lives on: %v, %v, %v", before.ModTime(), after.ModTime(), err)
	}
}

// TestInUse: one folder, one engine.
func TestInUse(t *testing.T) {
	t.Parallel()
	c := config(t)
	e := open(t, c)
	_, err := local.Open(t.Context(), c)
	var refusal *local.InUseError
	if !errors.As(err, &refusal) || refusal.Code() != "engine.in-use" {
		t.Fatalf("a second engine: %v, want a refusal", err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	open(t, c)
}

// TestWithoutRoot runs the suite as another user, where namespaces of one's
// own user are all there is.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		return // the other tests run so
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "gaon-user-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, temp := filepath.Join(dir, "local.test"), filepath.Join(dir, "temp")
	install(t, os.Args[0], program)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(temp, 0o777), os.Chmod(temp, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run", "^(TestConformance|TestConfined|TestEnforce)$/^(namespaces|bubblewrap)?$", "-test.v")
	cmd.Dir = temp
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + temp, "HOME=" + temp}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") < 50 {
		t.Fatalf("as another user: %v\n%s", err, out)
	}
}
