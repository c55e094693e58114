//go:build unix

package enginetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Work behaves as the suite asks if the arguments of this process say so, and
// then never returns. A test binary calls it first in TestMain.
func Work() {
	if len(os.Args) < 3 || os.Args[1] != Word {
		os.Setenv(secretVariable, "a key")
		return
	}
	behaviour, known := behaviours[os.Args[2]]
	if !known {
		fmt.Fprintln(os.Stderr, "no behaviour", os.Args[2])
		Exit(99)
	}
	code, err := behaviour(os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 98
	}
	Exit(code)
}

// Exit ends a helper process at once: os.Exit waits a second for reports in a
// binary with the race detector, and there are a thousand helpers.
func Exit(code int) { syscall.Exit(code) }

// behaviours of work. Each returns its exit code, or an error, which is 98.
var behaviours = map[string]func(args []string) (int, error){
	"exit":      exit,
	"make":      makeOutputs,
	"count":     count,
	"sleep":     sleep,
	"term":      onTerm,
	"stubborn":  stubborn,
	"orphans":   orphans,
	"say":       say,
	"report":    reportOn,
	"change":    changeInputs,
	"connect":   connect,
	"look":      look,
	"env":       showEnvironment,
	"serve":     serve,
	"link":      leaveLink,
	"statement": leaveStatement,
	"eat":       eat,
	"die":       die,
	"cpus":      func([]string) (int, error) { return runtime.NumCPU(), nil },
	"devices":   devices,
	"watch":     watch,
	"beat":      beat,
}

func exit(args []string) (int, error) { return strconv.Atoi(args[0]) }

// makeOutputs copies in/a to out/copy, params to out/params, and says so.
func makeOutputs([]string) (int, error) {
	for from, to := range map[string]string{"in/a/one.txt": "out/copy/one.txt", "in/a/deep/two.txt": "out/copy/deep/two.txt", "params.json": "out/params/params.json"} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o644)
		}
		if err != nil {
			return 0, err
		}
	}
	if err := os.WriteFile("out/loose.txt", []byte("nobody's"), 0o644); err != nil {
		return 0, err
	}
	return 0, os.WriteFile("statement.json", []byte(`{"stage":"curate","counts":{"documents":2},"scores":{"bits_per_byte":2500000},"notes":{"k":"v"}}`), 0o644)
}

// count appends a line to keep/runs and waits a little.
func count(args []string) (int, error) {
	f, err := os.OpenFile("keep/runs", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintln(f, os.Getenv("GAON_JOB"), os.Getenv("GAON_ATTEMPT")); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	if len(args) > 0 {
		ms, err := strconv.Atoi(args[0])
		if err != nil {
			return 0, err
		}
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	data, err := os.ReadFile("keep/runs")
	if err != nil {
		return 0, err
	}
	if err := os.Mkdir("out/runs", 0o755); err != nil {
		return 0, err
	}
	return 0, os.WriteFile("out/runs/runs", data, 0o644)
}

func sleep([]string) (int, error) {
	time.Sleep(time.Hour)
	return 0, nil
}

// onTerm ends by itself when asked to, after it has saved something.
func onTerm([]string) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Println("ready")
	<-signals
	if err := os.WriteFile("keep/saved", []byte("checkpoint"), 0o644); err != nil {
		return 0, err
	}
	return 7, nil
}

// stubborn does not end when asked to, and neither does its child.
func stubborn([]string) (int, error) {
	signal.Ignore(syscall.SIGTERM)
	if len(os.Args) < 4 {
		child := exec.Command(os.Args[0], Word, "stubborn", "child")
		if err := child.Start(); err != nil {
			return 0, err
		}
		fmt.Println("ready")
	}
	time.Sleep(time.Hour)
	return 0, nil
}

// orphans ends at once and leaves processes behind in sessions of their own,
// which go on writing to keep/beat.
func orphans([]string) (int, error) {
	for range 3 {
		child := exec.Command(os.Args[0], Word, "beat")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return 0, err
		}
	}
	for range 500 {
		if _, err := os.Stat("keep/beat"); err == nil {
			return 0, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0, errors.New("the children did not start")
}

// beat writes the time to keep/beat for ever.
func beat([]string) (int, error) {
	for i := 0; ; i++ {
		if err := os.WriteFile("keep/beat", []byte(time.Now().String()), 0o644); err != nil {
			return 0, err
		}
		if i == 0 {
			fmt.Println("ready")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// watch answers 0 if the file does not change any more.
func watch(args []string) (int, error) {
	before, err := os.ReadFile(args[0])
	if err != nil {
		return 0, err
	}
	time.Sleep(200 * time.Millisecond)
	after, err := os.ReadFile(args[0])
	if string(before) != string(after) {
		return 1, nil
	}
	return 0, err
}

// say writes bytes to both streams: args are how many and which byte.
func say(args []string) (int, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	block := make([]byte, 32<<10)
	for i := range block {
		block[i] = byte(i)
	}
	for n > 0 {
		part := block[:min(n, len(block))]
		if _, err := os.Stdout.Write(part); err != nil {
			return 0, err
		}
		n -= len(part)
	}
	_, err = io.WriteString(os.Stderr, "to the other stream\xff\x00\n")
	return 0, err
}

// reportOn writes progress and metrics, well and badly formed.
func reportOn([]string) (int, error) {
	if err := os.WriteFile("progress.json", []byte(`{"step":"train","done":40,"total":100,"values":{"loss":2.25}}`), 0o644); err != nil {
		return 0, err
	}
	f, err := os.Create("metrics.jsonl")
	if err != nil {
		return 0, err
	}
	for i := range 1500 {
		fmt.Fprintf(f, "{\"step\":%d,\"values\":{\"loss\":%g}}\n", i, 1/float64(i+1))
		if i%100 == 0 {
			fmt.Fprintln(f, "not a metric")
		}
	}
	fmt.Fprintln(f, strings.Repeat("x", 1<<20))
	fmt.Fprint(f, `{"step":1500,"values":{"loss":0`) // never finished
	return 0, f.Close()
}

// changeInputs tries every way to change what it was given to read.
func changeInputs([]string) (int, error) {
	os.Chmod("in/a", 0o777)
	os.Chmod("in/a/one.txt", 0o666)
	changed := 0
	for _, err := range []error{
		os.WriteFile("in/a/one.txt", []byte("changed"), 0o644),
		os.WriteFile("in/a/new.txt", []byte("new"), 0o644),
		os.Remove("in/a/one.txt"),
		os.Rename("in/a", "in/b"),
		os.RemoveAll("in"),
	} {
		if err == nil {
			changed++
		}
	}
	return changed, nil
}

// connect tries to reach an address and answers 0 if it could, 1 if not.
func connect(args []string) (int, error) {
	conn, err := net.DialTimeout("tcp", args[0], 2*time.Second)
	if err != nil {
		return 1, nil
	}
	return 0, conn.Close()
}

// look tries to read paths and answers how many it could, in bits.
func look(args []string) (int, error) {
	seen := 0
	for i, path := range args {
		if _, err := os.ReadFile(path); err == nil {
			seen |= 1 << i
		} else if _, err := os.ReadDir(path); err == nil {
			seen |= 1 << i
		}
	}
	return seen, nil
}

func showEnvironment([]string) (int, error) {
	wd, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	return 0, json.NewEncoder(os.Stdout).Encode(map[string]any{"env": os.Environ(), "dir": wd, "user": os.Getuid(), "args": os.Args})
}

// serve answers one line to each connection.
func serve([]string) (int, error) {
	listener, err := net.Listen("unix", "serve.sock")
	if err != nil {
		return 0, err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return 0, err
		}
		fmt.Fprintln(conn, "served by", os.Getenv("GAON_JOB"))
		conn.Close()
	}
}

// leaveLink leaves an output with something in it that is no file.
func leaveLink(args []string) (int, error) {
	if err := os.Mkdir("out/bad", 0o755); err != nil {
		return 0, err
	}
	return 0, os.Symlink(args[0], "out/bad/link")
}

func leaveStatement(args []string) (int, error) {
	return 0, os.WriteFile("statement.json", []byte(args[0]), 0o644)
}

// eat takes MiB of memory and keeps it.
func eat(args []string) (int, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, 1<<20)
		for at := 0; at < len(all[i]); at += 1024 {
			all[i][at] = 1
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Second)
	return int(all[0][0]) - 1, nil
}

// die is killed by a signal.
func die(args []string) (int, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	signal.Reset()
	if err := syscall.Kill(os.Getpid(), syscall.Signal(n)); err != nil {
		return 0, err
	}
	time.Sleep(time.Hour)
	return 0, nil
}

// devices lists the folder of devices.
func devices([]string) (int, error) {
	entries, err := os.ReadDir("/dev")
	for _, entry := range entries {
		fmt.Println(entry.Name())
	}
	return 0, err
}
