// Package scenario tells, as scripts with the commands that people type, what
// Gaon does for them. Each testdata/*.txtar is one story, run against the
// program as it is built, on a centre of its own.
package scenario

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the stories expect")

// binary is the folder with the program under test.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "gaon-scenario-")
	if err == nil {
		binary = dir
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "gaon"), "./cmd/gaon")
		build.Dir = ".."
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenario: build the program:", err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", binary+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("GAON_DATA", filepath.Join(e.WorkDir, "centre"))
			e.Setenv("LANG", "en_US.UTF-8")
			e.Setenv("LC_ALL", "")
			e.Defer(func() { stopLeftovers(e.WorkDir) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"wait-up":   waitUp,
			"set":       setVariable,
			"flip":      flip,
			"interrupt": interrupt,
			"matches":   matches,
		},
	})
}

// waitUp waits until the centre of the story answers: wait-up [DIR].
func waitUp(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.Getenv("GAON_DATA")
	if len(args) > 0 {
		dir = ts.MkAbs(args[0])
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := exec.Command(filepath.Join(binary, "gaon"), "--data", dir, "node", "list", "-o", "id").Output()
		if err == nil && len(bytes.TrimSpace(out)) > 0 {
			return
		}
	}
	ts.Fatalf("no centre answers from %s", dir)
}

// setVariable keeps what a command prints: set NAME gaon org add X -o id.
func setVariable(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: set NAME COMMAND [ARG...]")
	}
	ts.Check(ts.Exec(args[1], args[2:]...))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// flip changes one byte of a file: flip FILE OFFSET, counted from the end if
// negative.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	ts.Check(os.Chmod(path, 0o644))
	ts.Check(os.WriteFile(path, data, 0o644))
}

// interrupt does to the background command what Ctrl-C does: interrupt NAME.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	for _, process := range ts.BackgroundCmds() {
		ts.Check(process.Process.Signal(syscall.SIGINT))
	}
}

// matches holds standard output against a file of patterns, one a line, in
// order.
func matches(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, line := range strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n") {
		at := regexp.MustCompile(line).FindStringIndex(text)
		if at == nil {
			ts.Fatalf("no match for %q in the rest:\n%s", line, text)
		}
		text = text[at[1]:]
	}
}

// stopLeftovers ends jobs that a story left running.
func stopLeftovers(dir string) {
	out, err := exec.Command("pgrep", "-f", "supervise "+dir).Output()
	if err != nil {
		return // none
	}
	for _, pid := range strings.Fields(string(out)) {
		if n, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(n, syscall.SIGTERM) // it may have ended meanwhile
		}
	}
}
