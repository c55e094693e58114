//go:build unix

package local

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gaon-ai/gaon/internal/unit"
)

const (
	tick           = 100 * time.Millisecond
	unheardMax     = 5 * time.Second // for the inside to obey before it is killed itself
	drainMax       = 2 * time.Second // for the last output after the end
	endMax         = 5 * time.Minute // for a full disk to be cleared
	reportBytesMax = 64 << 10
)

// Orders on the pipe to the inside. When the pipe ends, all work is killed.
const (
	orderTerm = 't'
	orderKill = 'k'
)

// report is what the inside says at the end.
type report struct {
	ExitCode int        `json:"exit_code"`
	Reason   string     `json:"reason,omitempty"`
	CPU      unit.Span  `json:"cpu"`
	Memory   unit.Bytes `json:"memory"`
}

// Supervise is the life of a supervisor: it runs the attempt in the folder to
// its end, whatever becomes of the process that started it. It returns the
// exit code for the process, which nobody needs: end.json tells.
func Supervise(dir string) int {
	switch os.Getenv(stageVariable) {
	case stageInside:
		return inside()
	case stageProbe:
		return probeInside()
	}
	s := &supervisor{dir: dir}
	if err := s.run(); err != nil {
		fmt.Fprintf(os.Stderr, "gaon: supervise %s: %v\n", dir, err)
		return 1
	}
	return 0
}

type supervisor struct {
	dir     string
	launch  launch
	began   running
	inside  *exec.Cmd
	orders  *os.File
	reports chan report
	copies  sync.WaitGroup

	stopped bool         // somebody asked
	reason  string       // why it is being ended, in words
	killAt  unit.Instant // zero: not being ended
	killed  time.Time    // when the inside was told to kill
	leaving bool         // this process was told to end
}

func (s *supervisor) run() error {
	lock, err := takeLock(filepath.Join(s.dir, lockFile))
	if errors.Is(err, errLocked) {
		return nil // another supervises
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if exists(filepath.Join(s.dir, endFile)) || exists(filepath.Join(s.dir, runningFile)) {
		// It began under another supervisor, which died: it must not begin
		// again, and the engine reports it lost.
		return nil
	}
	if err := readState(s.dir, taskFile, &s.launch); err != nil {
		return err
	}
	if s.launch.Version != launchVersion {
		return s.end(ending{Ended: now(), ExitCode: cannotStartCode,
			Reason: fmt.Sprintf("cannot be started: its task is of version %d, this program runs version %d", s.launch.Version, launchVersion)})
	}
	s.refreshProgram()
	if exists(filepath.Join(s.dir, stopFile)) {
		return s.end(ending{Ended: now(), ExitCode: 128 + int(syscall.SIGTERM), Stopped: true, Reason: "stopped before it began"})
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := s.start(); err != nil {
		s.endGroup()
		return s.end(ending{Ended: now(), ExitCode: cannotStartCode, Reason: "cannot be started: " + err.Error()})
	}
	r := s.follow(signals)
	return s.conclude(r)
}

// refreshProgram puts this program in the place of the one that claimed the
// attempt, if that is gone: it was replaced, or built for one run.
func (s *supervisor) refreshProgram() {
	old := s.launch.Program
	if exists(old) {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	s.launch.Program = program
	if s.launch.Argv[0] == old {
		s.launch.Argv[0] = program
	}
}

// start runs the inside, records it, and only then tells it to begin.
func (s *supervisor) start() error {
	// The kernel kills the inside when the thread that started it ends, so
	// that thread must live as long as this process.
	runtime.LockOSThread()
	ordersIn, ordersOut, err := os.Pipe()
	if err != nil {
		return err
	}
	reportIn, reportOut, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ordersIn.Close()
	defer reportOut.Close()
	s.orders = ordersOut
	cmd, err := insideCommand(s.launch)
	if err != nil {
		return err
	}
	if g := s.launch.Group; g != nil {
		if err := g.make(s.launch.Task.Memory, tasksMax); err != nil {
			return err
		}
	}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{ordersIn, reportOut}
	for stream, to := range map[string]*io.Writer{"stdout": &cmd.Stdout, "stderr": &cmd.Stderr} {
		w, err := s.log(stream)
		if err != nil {
			return err
		}
		defer w.Close() // the inside has its own
		*to = w
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("sandbox %s: %w", s.launch.Sandbox, err)
	}
	s.inside = cmd
	s.reports = make(chan report, 1)
	go s.listen(reportIn)
	id, err := identify(s.launch.Sandbox, cmd.Process.Pid)
	if g := s.launch.Group; g != nil && err == nil {
		// The inside waits for its orders, so all work is born in the group.
		err = g.add(id.PID)
	}
	if err == nil {
		s.began = running{Started: now(), Process: id}
		err = writeState(s.dir, runningFile, s.began)
	}
	// At this point running.json is durable: from here on the work counts as
	// begun and is never begun again.
	if err == nil {
		var spec []byte
		if spec, err = json.Marshal(s.launch); err == nil {
			_, err = ordersOut.Write(append(spec, '\n'))
		}
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
	}
	return err
}

// log makes the pipe that carries a stream to its bounded file.
func (s *supervisor) log(stream string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, stream+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.copies.Go(func() {
		defer f.Close()
		io.Copy(&boundedLog{f: f, left: s.launch.LogBytesMax, max: s.launch.LogBytesMax}, in)
	})
	return out, nil
}

// listen waits for the inside's report, or for its death without one.
func (s *supervisor) listen(from *os.File) {
	defer from.Close()
	line, err := bufio.NewReader(io.LimitReader(from, reportBytesMax)).ReadBytes('\n')
	var r report
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	waitErr := s.inside.Wait()
	if err != nil {
		r = report{ExitCode: cannotStartCode, Reason: "its sandbox ended without a report"}
		if waitErr != nil {
			r.Reason += ": " + waitErr.Error()
		}
		if status, ok := s.inside.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			r.ExitCode = 128 + int(status.Signal())
		}
	}
	s.reports <- r
}

// follow obeys stop requests and the time limit until the work has ended.
func (s *supervisor) follow(signals <-chan os.Signal) report {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case r := <-s.reports:
			return r
		case <-signals:
			s.leaving = true
			s.terminate(now().Add(s.launch.LimitGrace))
		case <-ticker.C:
			s.look()
		}
	}
}

func (s *supervisor) look() {
	if !exists(filepath.Join(s.dir, taskFile)) {
		// Somebody removed the data folder: nobody can ever ask for the end of
		// this work again.
		s.reason = "its folder was removed"
		s.terminate(now())
	}
	var stop stopping
	err := readState(s.dir, stopFile, &stop)
	if err == nil {
		s.stopped = true
		s.terminate(stop.KillAt)
	} else if !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "gaon: supervise:", err)
	}
	if g := s.launch.Group; g != nil {
		// The kernel killed one process; an attempt does not go on without.
		if killed, _ := g.struck(s.launch.Task.Memory); killed {
			s.killAt = now()
		}
	}
	limit := s.launch.Task.TimeLimit
	if limit > 0 && s.killAt == 0 && now().Sub(s.began.Started) >= limit {
		s.reason = fmt.Sprintf("time limit of %s reached", limit)
		s.terminate(now().Add(s.launch.LimitGrace))
	}
	if s.killAt == 0 || now() < s.killAt {
		return
	}
	if s.killed.IsZero() {
		s.killed = time.Now()
		s.orders.Write([]byte{orderKill})
	} else if time.Since(s.killed) > unheardMax {
		s.inside.Process.Kill() // its namespace, and so all work, goes with it
	}
}

// terminate asks the work to end, and sets when it will be made to. A later
// call can only bring that nearer.
func (s *supervisor) terminate(killAt unit.Instant) {
	if s.killAt == 0 {
		s.orders.Write([]byte{orderTerm})
		s.killAt = killAt
	}
	s.killAt = min(s.killAt, killAt)
}

// conclude writes down the end, after the outputs are durable.
func (s *supervisor) conclude(r report) error {
	end := ending{Started: s.began.Started, Ended: now(), ExitCode: r.ExitCode, Reason: r.Reason, Stopped: s.stopped, CPU: r.CPU, Memory: r.Memory}
	if end.Reason == "" {
		end.Reason = s.reason
	}
	s.closeGroup(&end)
	if s.leaving && !s.stopped {
		end.Lost, end.Reason = true, "the machine, or its service manager, ended it"
	}
	drained := make(chan struct{})
	go func() { s.copies.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(drainMax):
	}
	work := s.launch.Work
	if err := syncTree(filepath.Join(work, "out")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		end.Reason = joinReasons(end.Reason, "its outputs could not be made durable: "+err.Error())
		if end.ExitCode == 0 {
			end.ExitCode = 1
		}
	}
	for _, name := range []string{"statement.json", "metrics.jsonl", "progress.json"} {
		if f, err := openInside(filepath.Join(work, name)); err == nil {
			f.Sync()
			f.Close()
		}
	}
	return s.end(end)
}

// closeGroup ends the attempt's control group and adds what the kernel knows.
func (s *supervisor) closeGroup(end *ending) {
	g := s.launch.Group
	if g == nil {
		return
	}
	if peak := g.peak(); peak > 0 {
		end.Memory = peak // the count above takes in shared pages more than once
	}
	limit := s.launch.Task.Memory
	if killed, limited := g.struck(limit); killed {
		end.Reason = "the machine ran out of memory"
		if limited {
			end.Reason = fmt.Sprintf("memory limit of %s passed", limit)
		}
		if end.ExitCode == 0 {
			// The first process did not care, but part of the work is missing.
			end.ExitCode = 128 + int(syscall.SIGKILL)
		}
	}
	s.endGroup()
}

// endGroup leaves the group to the next Open if it cannot be ended now.
func (s *supervisor) endGroup() {
	if g := s.launch.Group; g != nil {
		if err := g.end(); err != nil {
			fmt.Fprintln(os.Stderr, "gaon: supervise:", err)
		}
	}
}

// end writes the end down. A full disk is given time to be cleared: without
// the record the attempt would be lost, and its work done again.
func (s *supervisor) end(end ending) error {
	for deadline := time.Now().Add(endMax); ; time.Sleep(time.Second) {
		err := writeState(s.dir, endFile, end)
		if err == nil || time.Now().After(deadline) || !exists(s.dir) {
			return err
		}
		fmt.Fprintln(os.Stderr, "gaon: supervise:", err)
	}
}

func joinReasons(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// boundedLog keeps the head of a stream, says that the rest is gone, and goes
// on reading so that the work does not stand still.
type boundedLog struct {
	f    *os.File
	left int64
	max  int64
	full bool
}

func (b *boundedLog) Write(p []byte) (int, error) {
	if b.full {
		return len(p), nil
	}
	keep := p[:min(int64(len(p)), b.left)]
	n, err := b.f.Write(keep)
	b.left -= int64(n)
	if err != nil || len(keep) < len(p) {
		b.full = true
		why := fmt.Sprintf("it is longer than %s", unit.Bytes(b.max))
		if err != nil {
			why = err.Error()
		}
		fmt.Fprintf(b.f, "\ngaon: the rest of this stream was dropped: %s\n", why)
	}
	return len(p), nil
}
