//go:build unix

package local

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gaon-ai/gaon/internal/unit"
)

// File descriptors that the supervisor hands to the inside.
const (
	ordersFD = 3
	reportFD = 4
)

// inside is the first process of a sandbox: it furnishes the sandbox, runs the
// work, passes on orders, and at the end leaves nothing alive. It dies with
// its supervisor, because the pipe of orders ends then.
func inside() int {
	// What is set on this thread (capabilities, affinity, filters) is
	// inherited by the work, which is started from it.
	runtime.LockOSThread()
	syscall.CloseOnExec(ordersFD)
	syscall.CloseOnExec(reportFD)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	orders := bufio.NewReaderSize(os.NewFile(ordersFD, "orders"), stateBytesMax)
	line, err := orders.ReadBytes('\n')
	if err != nil {
		return 1 // the supervisor died before the work began
	}
	var r report
	var l launch
	if err := json.Unmarshal(line, &l); err != nil {
		r = report{ExitCode: cannotStartCode, Reason: "cannot be started: " + err.Error()}
	} else {
		r = (&insider{launch: l, orders: orders}).run()
	}
	data, err := json.Marshal(r)
	if err != nil {
		return 1
	}
	if _, err := os.NewFile(reportFD, "report").Write(append(data, '\n')); err != nil {
		return 1
	}
	return 0
}

type insider struct {
	launch launch
	orders io.Reader
	box    box

	mu     sync.Mutex
	reason string     // why the inside itself killed the work
	peak   unit.Bytes // of memory, as polled
}

// pollEvery is how often memory and processes are counted.
const pollEvery = 100 * time.Millisecond

func (in *insider) run() report {
	cannot := func(err error) report {
		return report{ExitCode: cannotStartCode, Reason: "cannot be started: " + err.Error()}
	}
	box, err := furnishBox(in.launch)
	if err != nil {
		return cannot(err)
	}
	in.box = box
	argv0, err := lookUp(in.launch)
	if err != nil {
		return cannot(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return cannot(err)
	}
	attributes, err := box.confine(in.launch)
	if err != nil {
		return cannot(err)
	}
	first, err := syscall.ForkExec(argv0, in.launch.Argv, &syscall.ProcAttr{
		Dir: in.launch.Work, Env: in.launch.Env, Files: []uintptr{null.Fd(), 1, 2}, Sys: attributes,
	})
	if err != nil {
		return cannot(fmt.Errorf("%s: %w", in.launch.Argv[0], err))
	}
	box.started(first)
	go in.obey(first)
	done := make(chan struct{})
	var polling sync.WaitGroup
	polling.Go(func() { in.poll(first, done) })
	status := in.await(first)
	close(done)
	in.endAll(first)
	polling.Wait()
	return in.report(status)
}

// obey passes orders on. When the supervisor is gone everything must go.
func (in *insider) obey(first int) {
	order := make([]byte, 1)
	for {
		if _, err := in.orders.Read(order); err != nil {
			in.endAll(first)
			os.Exit(1)
		}
		switch order[0] {
		case orderTerm:
			in.box.signalAll(first, syscall.SIGTERM)
		case orderKill:
			in.box.signalAll(first, syscall.SIGKILL)
		}
	}
}

// await reaps whatever ends until the first process has.
func (in *insider) await(first int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if pid == first && (status.Exited() || status.Signaled()) {
			return status
		}
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return status // cannot be: the first process is a child of this one
		}
	}
}

// endAll kills whatever the work left behind, and reaps it. The work may fork
// meanwhile, so it is killed until nothing is left.
func (in *insider) endAll(first int) {
	for {
		in.box.signalAll(first, syscall.SIGKILL)
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if errors.Is(err, syscall.ECHILD) {
				return
			}
			if err == nil && pid == 0 {
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// poll counts memory and processes, and kills work that takes too much. The
// memory of a control group is the kernel's to limit: it counts better.
func (in *insider) poll(first int, done <-chan struct{}) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		memory, processes := in.box.usage(first)
		reason := ""
		if limit := in.launch.Task.Memory; limit > 0 && memory > limit && in.launch.Group == nil {
			reason = fmt.Sprintf("memory limit of %s passed", limit)
		}
		if processes > processesMax {
			reason = fmt.Sprintf("more than %d processes", processesMax)
		}
		in.mu.Lock()
		in.peak = max(in.peak, memory)
		if in.reason == "" {
			in.reason = reason
		}
		in.mu.Unlock()
		if reason != "" {
			in.box.signalAll(first, syscall.SIGKILL)
		}
	}
}

// processesMax bounds the processes of one attempt, so that work that forks
// without end does not take the machine with it.
const processesMax = 4096

func (in *insider) report(status syscall.WaitStatus) report {
	r := report{Reason: in.reason, Memory: in.peak, ExitCode: status.ExitStatus()}
	if status.Signaled() {
		r.ExitCode = 128 + int(status.Signal())
	}
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &use) == nil {
		r.CPU = unit.Span((use.Utime.Nano() + use.Stime.Nano()) / int64(time.Millisecond))
		r.Memory = max(r.Memory, maxRSS(use))
	}
	return r
}

// lookUp finds the program as the work's own PATH and place say.
func lookUp(l launch) (string, error) {
	name := l.Argv[0]
	candidates := []string{}
	if strings.ContainsRune(name, '/') {
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.Work, name)
		}
		candidates = append(candidates, name)
	} else {
		for _, dir := range filepath.SplitList(searchPath) {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	for _, path := range candidates {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	text := fmt.Sprintf("no program %s", l.Argv[0])
	if l.Sandbox != SandboxNone && filepath.IsAbs(name) {
		text += ": it is not there, or in a place that is hidden from work"
	}
	return "", errors.New(text)
}
