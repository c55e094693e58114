package enginetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

func success(s *suite) {
	t := s.task("make")
	t.Inputs = []job.Input{{Name: "a", Tree: s.tree(map[string]string{"one.txt": "하나", "deep/two.txt": "둘"})}}
	t.Params = json.RawMessage(`{"n":1}`)
	a := s.start(t)
	o := s.mustEnd(a, 0)
	if o.Reason != "" || o.Stopped || o.Memory <= 0 {
		s.Fatalf("observation %+v", o)
	}
	r := s.collect(a)
	want := &factory.Statement{Stage: "curate", Counts: map[string]int64{"documents": 2},
		Scores: map[string]unit.Micro{"bits_per_byte": 2_500_000}, Notes: map[string]string{"k": "v"}}
	if !reflect.DeepEqual(r.Statement, want) {
		s.Fatalf("statement %+v, want %+v", r.Statement, want)
	}
	if len(r.Outputs) != 2 {
		s.Fatalf("outputs %+v, want copy and params", r.Outputs)
	}
	if got, want := s.output(r, "copy"), (map[string]string{"one.txt": "하나", "deep/two.txt": "둘"}); !reflect.DeepEqual(got, want) {
		s.Fatalf("output copy is %v, want %v", got, want)
	}
	if got := s.output(r, "params")["params.json"]; got != `{"n":1}` {
		s.Fatalf("params were %q", got)
	}
	if again := s.collect(a); !reflect.DeepEqual(r, again) {
		s.Fatalf("collected again: %+v, want %+v", again, r)
	}
}

func exitCode(s *suite) {
	a := s.start(s.task("exit", "37"))
	s.mustEnd(a, 37)
	if r := s.collect(a); r.Statement != nil || len(r.Outputs) != 0 {
		s.Fatalf("collected %+v of work that left nothing", r)
	}
}

func killed(s *suite) {
	s.mustEnd(s.start(s.task("die", "15")), 128+15)
	s.mustEnd(s.start(s.task("die", "9")), 128+9)
}

func timeLimit(s *suite) {
	t := s.task("sleep")
	t.TimeLimit = unit.Second
	o := s.await(s.start(t), engine.Ended, engine.Lost)
	if o.State != engine.Ended || o.ExitCode == 0 || o.Stopped || !strings.Contains(o.Reason, "time limit") {
		s.Fatalf("observation %+v, want an end by the time limit", o)
	}
	if took := o.Ended.Sub(o.Started); took < unit.Second || took > 20*unit.Second {
		s.Fatalf("it ran %s with a limit of one second", took)
	}
}

func (s *suite) stop(a engine.Attempt, grace unit.Span) {
	s.Helper()
	if err := s.Engine.Stop(s.Context(), a, grace); err != nil {
		s.Fatalf("stop %s: %v", a, err)
	}
}

func stopGently(s *suite) {
	t := s.task("term")
	a := s.start(t)
	s.awaitOutput(a, "ready")
	s.stop(a, unit.Minute)
	if o := s.mustEnd(a, 7); !o.Stopped {
		s.Fatalf("observation %+v, want stopped", o)
	}
	// What it saved in its grace is there for the next attempt.
	t.Number, t.Argv = 2, []string{"gaon", Word, "look", "keep/saved"}
	s.mustEnd(s.start(t), 1)
}

func stopHard(s *suite) {
	a := s.start(s.task("stubborn"))
	s.awaitOutput(a, "ready")
	began := time.Now()
	s.stop(a, 300*unit.Millisecond)
	if o := s.mustEnd(a, 128+9); !o.Stopped {
		s.Fatalf("observation %+v, want stopped", o)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		s.Fatalf("it was killed after %s, in its grace", took)
	}
}

func stopAgain(s *suite) {
	a := s.start(s.task("stubborn"))
	s.awaitOutput(a, "ready")
	s.stop(a, unit.Hour)
	s.stop(a, 0) // a shorter grace counts
	s.stop(a, unit.Hour)
	s.mustEnd(a, 128+9)
	s.stop(a, 0)
	b := s.start(s.task("exit", "3"))
	s.mustEnd(b, 3)
	s.stop(b, 0)
	if o := s.mustEnd(b, 3); o.Stopped {
		s.Fatalf("observation %+v: it ended before it was stopped", o)
	}
}

func startOnce(s *suite) {
	t := s.task("count", "200")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := s.Engine.Start(s.Context(), t); err != nil {
				s.Errorf("start: %v", err)
			}
		})
	}
	wg.Wait()
	// The answer was lost, so the centre asks again: now, after a restart, and
	// when all is over.
	s.start(t)
	s.Engine = s.Restart(s.T)
	s.start(t)
	s.mustEnd(t.Attempt, 0)
	s.start(t)
	s.Engine = s.Restart(s.T)
	s.start(t)
	s.mustEnd(t.Attempt, 0)
	if runs := s.output(s.collect(t.Attempt), "runs")["runs"]; strings.Count(runs, "\n") != 1 {
		s.Fatalf("it ran %d times, want once:\n%s", strings.Count(runs, "\n"), runs)
	}
}

func restartRunning(s *suite) {
	a := s.start(s.task("term"))
	s.awaitOutput(a, "ready")
	before := s.await(a, engine.Running)
	s.Engine = s.Restart(s.T)
	after := s.await(a, engine.Running)
	if before.Started != after.Started {
		s.Fatalf("started at %d, after the restart at %d", before.Started, after.Started)
	}
	s.stop(a, unit.Minute)
	s.mustEnd(a, 7)
}

func restartEnded(s *suite) {
	a := s.start(s.task("count", "300"))
	s.await(a, engine.Running)
	s.Engine = s.Restart(s.T)
	first := s.mustEnd(a, 0)
	s.Engine = s.Restart(s.T)
	if again := s.mustEnd(a, 0); again != first {
		s.Fatalf("observation %+v, before the restart %+v", again, first)
	}
	if runs := s.output(s.collect(a), "runs")["runs"]; strings.Count(runs, "\n") != 1 {
		s.Fatalf("it ran %d times", strings.Count(runs, "\n"))
	}
}

func unknown(s *suite) {
	a, ctx := engine.Attempt{Job: "J0", Number: 1}, s.Context()
	_, observe := s.Engine.Observe(ctx, a)
	_, collect := s.Engine.Collect(ctx, a)
	_, read := s.Engine.Logs(ctx, a, engine.Stdout, 0)
	_, progress := s.Engine.Progress(ctx, a)
	_, metrics := s.Engine.Metrics(ctx, a, 0)
	_, dial := s.Engine.Dial(ctx, a)
	for _, err := range []error{observe, collect, read, progress, metrics, dial, s.Engine.Stop(ctx, a, 0), s.Engine.Forget(ctx, a, false)} {
		s.mustRefuse(err, "attempt.unknown")
	}
	for _, bad := range []engine.Attempt{{Job: "", Number: 1}, {Job: "../J1", Number: 1}, {Job: "J1/2", Number: 1}, {Job: "J1", Number: 0}} {
		t := s.task("exit", "0")
		t.Attempt = bad
		s.mustRefuse(s.Engine.Start(ctx, t), "attempt.cannot")
		_, err := s.Engine.Observe(ctx, bad)
		s.mustRefuse(err, "attempt.unknown")
	}
}

func logs(s *suite) {
	const size = 3<<20 + 17
	a := s.start(s.task("say", fmt.Sprint(size)))
	s.mustEnd(a, 0)
	all := s.log(a, engine.Stdout)
	if len(all) != size {
		s.Fatalf("%d bytes, want %d", len(all), size)
	}
	for i := range len(all) {
		if all[i] != byte(i%(32<<10)) {
			s.Fatalf("byte %d is %d", i, all[i])
		}
	}
	for _, offset := range []int64{1, 4096, size - 1, size, size + 1000} {
		r, err := s.Engine.Logs(s.Context(), a, engine.Stdout, offset)
		if err != nil {
			s.Fatal(err)
		}
		part, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(part) != all[min(offset, size):] {
			s.Fatalf("from offset %d: %d bytes and %v", offset, len(part), err)
		}
	}
	if got := s.log(a, engine.Stderr); got != "to the other stream\xff\x00\n" {
		s.Fatalf("standard error is %q", got)
	}
	if _, err := s.Engine.Logs(s.Context(), a, "stdin", 0); err == nil {
		s.Fatal("a stream that is none was read")
	}
	if _, err := s.Engine.Logs(s.Context(), a, engine.Stdout, -1); err == nil {
		s.Fatal("a negative offset was read")
	}
}

func progress(s *suite) {
	a := s.start(s.task("report"))
	s.mustEnd(a, 0)
	p, err := s.Engine.Progress(s.Context(), a)
	if want := (engine.Progress{Step: "train", Done: 40, Total: 100, Values: map[string]float64{"loss": 2.25}}); err != nil || !reflect.DeepEqual(p, want) {
		s.Fatalf("progress %+v and %v, want %+v", p, err, want)
	}
	for _, from := range []int{0, 1, 999, 1000, 1001, 1499, 1500, 2000, 0} {
		list, err := s.Engine.Metrics(s.Context(), a, from)
		if err != nil {
			s.Fatal(err)
		}
		if want := max(1500-from, 0); len(list) != want {
			s.Fatalf("%d points from %d on, want %d", len(list), from, want)
		}
		for i, m := range list {
			if m.Step != int64(from+i) || m.Values["loss"] != 1/float64(from+i+1) {
				s.Fatalf("point %d is %+v", from+i, m)
			}
		}
	}
	b := s.start(s.task("exit", "0"))
	s.mustEnd(b, 0)
	p, err = s.Engine.Progress(s.Context(), b)
	list, err2 := s.Engine.Metrics(s.Context(), b, 0)
	if err != nil || err2 != nil || !reflect.DeepEqual(p, engine.Progress{}) || len(list) != 0 {
		s.Fatalf("of silent work: %+v, %v, %v, %v", p, list, err, err2)
	}
}

func keep(s *suite) {
	t := s.task("count")
	for n := 1; n <= 3; n++ {
		t.Number = n
		s.mustEnd(s.start(t), 0)
	}
	want := fmt.Sprintf("%[1]s 1\n%[1]s 2\n%[1]s 3\n", t.Job)
	if runs := s.output(s.collect(t.Attempt), "runs")["runs"]; runs != want {
		s.Fatalf("keep/runs is %q, want %q", runs, want)
	}
	other := s.task("count")
	s.mustEnd(s.start(other), 0)
	if runs := s.output(s.collect(other.Attempt), "runs")["runs"]; strings.Count(runs, "\n") != 1 {
		s.Fatalf("another job sees keep/runs as %q", runs)
	}
}

func forget(s *suite) {
	ctx := s.Context()
	t := s.task("count")
	s.mustEnd(s.start(t), 0)
	first := t.Attempt
	if err := s.Engine.Forget(ctx, first, true); err != nil {
		s.Fatal(err)
	}
	_, err := s.Engine.Observe(ctx, first)
	s.mustRefuse(err, "attempt.unknown")
	s.start(t) // changes nothing, and does not run it again
	t.Number, t.Argv = 2, []string{"gaon", Word, "say", "10"}
	s.mustEnd(s.start(t), 0)
	if err := s.Engine.Forget(ctx, t.Attempt, true); err != nil {
		s.Fatal(err)
	}
	s.Engine = s.Restart(s.T)
	if got := s.log(t.Attempt, engine.Stderr); !strings.HasPrefix(got, "to the other stream") {
		s.Fatalf("logs of a forgotten attempt: %q", got)
	}
	t.Number, t.Argv = 3, []string{"gaon", Word, "count"}
	s.mustEnd(s.start(t), 0)
	if runs := s.output(s.collect(t.Attempt), "runs")["runs"]; strings.Count(runs, "\n") != 2 {
		s.Fatalf("keep/runs is %q, want lines of attempts 1 and 3", runs)
	}
	if err := s.Engine.Forget(ctx, t.Attempt, false); err != nil {
		s.Fatal(err)
	}
	t.Number = 4
	s.mustEnd(s.start(t), 0)
	if runs := s.output(s.collect(t.Attempt), "runs")["runs"]; strings.Count(runs, "\n") != 1 {
		s.Fatalf("keep/runs is %q after keep was forgotten", runs)
	}
	running := s.start(s.task("sleep"))
	s.await(running, engine.Running)
	if err := s.Engine.Forget(ctx, running, false); err == nil {
		s.Fatal("running work was forgotten")
	}
	if _, err := s.Engine.Collect(ctx, running); err == nil {
		s.Fatal("running work was collected")
	}
	s.stop(running, unit.Minute)
	s.mustEnd(running, 128+15)
}

func inputs(s *suite) {
	if !s.node.Enforce.Inputs {
		s.Log("this node does not enforce it, and says so")
		return
	}
	t := s.task("change")
	t.Inputs = []job.Input{{Name: "a", Tree: s.tree(map[string]string{"one.txt": "as it was"})}}
	s.mustEnd(s.start(t), 0)
}

func network(s *suite) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	t := s.task("connect", listener.Addr().String())
	t.Network = true
	s.mustEnd(s.start(t), 0)
	if !s.node.Enforce.Network {
		s.Log("this node does not enforce it, and says so")
		return
	}
	t = s.task("connect", listener.Addr().String())
	s.mustEnd(s.start(t), 1)
}

func secrets(s *suite) {
	if !s.node.Enforce.Inputs {
		s.Log("this node does not enforce it, and says so")
		return
	}
	home := filepath.Join(s.TempDir(), "of-another")
	if err := os.WriteFile(home, []byte("private"), 0o644); err != nil {
		s.Fatal(err)
	}
	paths := append(slices.Clone(s.Secrets), home, "/proc/1/environ", "/run", "/home", "/root")
	for _, path := range paths {
		if strings.HasPrefix(path, "/proc") {
			continue // in here it is another process
		}
		if _, err := os.Stat(path); err != nil && path != "/home" {
			s.Fatalf("the test looks for %s, which is not there: %v", path, err)
		}
	}
	// A hidden folder may be seen, empty but for the way to the work; so files
	// in it are what counts.
	files := slices.DeleteFunc(paths, func(path string) bool {
		return path == "/run" || path == "/home" || path == "/root"
	})
	s.mustEnd(s.start(s.task(append([]string{"look"}, files...)...)), 0)
}

func environment(s *suite) {
	if os.Getenv(secretVariable) == "" {
		s.Fatal("TestMain does not call Work, which sets a secret to look for")
	}
	t := s.task("env")
	t.Number = 4
	a := s.start(t)
	s.mustEnd(a, 0)
	said := s.log(a, engine.Stdout)
	if strings.Contains(said, "SECRET") {
		s.Fatalf("the work sees a secret: %s", said)
	}
	var found struct {
		Env []string
		Dir string
	}
	if err := json.Unmarshal([]byte(said), &found); err != nil {
		s.Fatalf("%v in %q", err, said)
	}
	for _, want := range []string{"GAON_JOB=" + string(a.Job), "GAON_ATTEMPT=4", "GAON_SLOTS=1", "HOME=" + found.Dir} {
		if !slices.Contains(found.Env, want) {
			s.Fatalf("the environment lacks %s: %v", want, found.Env)
		}
	}
}

func orphaned(s *suite) {
	t := s.task("orphans")
	s.mustEnd(s.start(t), 0)
	t.Number, t.Argv = 2, []string{"gaon", Word, "watch", "keep/beat"}
	s.mustEnd(s.start(t), 0)
}

func memory(s *suite) {
	t := s.task("eat", "100")
	t.Memory = 1 << 30
	a := s.start(t)
	if o := s.mustEnd(a, 0); o.Memory < 100<<20 || o.Memory > 1<<30 || o.CPU <= 0 {
		s.Fatalf("observation %+v of work that takes 100 MiB", o)
	}
	if !s.node.Enforce.Memory {
		s.Log("this node does not enforce it, and says so")
		return
	}
	t = s.task("eat", "1000")
	t.Memory = 64 << 20
	if o := s.mustEnd(s.start(t), 128+9); !strings.Contains(o.Reason, "memory limit") {
		s.Fatalf("observation %+v, want the memory limit as the reason", o)
	}
}

func cpus(s *suite) {
	if !s.node.Enforce.CPU {
		s.Log("this node does not enforce it, and says so")
		return
	}
	s.mustEnd(s.start(s.task("cpus")), 1)
	t := s.task("cpus")
	t.Devices = nil
	for _, d := range s.node.Devices {
		if d.Chip == fleet.CPUSlot && len(t.Devices) < runtime.NumCPU() {
			t.Devices = append(t.Devices, d)
		}
	}
	s.mustEnd(s.start(t), len(t.Devices))
}

func missingInput(s *suite) {
	t := s.task("exit", "0")
	t.Inputs = []job.Input{{Name: "a", Tree: unit.DigestOf([]byte("never stored"))}}
	s.mustRefuse(s.Engine.Start(s.Context(), t), "attempt.cannot")
	_, err := s.Engine.Observe(s.Context(), t.Attempt)
	s.mustRefuse(err, "attempt.unknown")
}

func missingProgram(s *suite) {
	for _, argv := range [][]string{{"no-such-program"}, {"/no/such/program"}, {"./out"}, {"/etc/passwd"}} {
		t := s.task()
		t.Argv = argv
		if o := s.mustEnd(s.start(t), 127); !strings.Contains(o.Reason, "cannot be started") {
			s.Fatalf("%v: observation %+v, want a reason", argv, o)
		}
	}
}

func missingDevice(s *suite) {
	for _, d := range []fleet.Device{{ID: "cpu9999", Chip: fleet.CPUSlot}, {ID: "cpu-1", Chip: fleet.CPUSlot}, {ID: "gpu77", Chip: "nvidia-h200"}} {
		t := s.task("exit", "0")
		t.Devices = []fleet.Device{d}
		s.mustRefuse(s.Engine.Start(s.Context(), t), "attempt.cannot")
	}
	t := s.task("exit", "0")
	t.Node = "no-such-node"
	s.mustRefuse(s.Engine.Start(s.Context(), t), "attempt.cannot")
}

func badOutputs(s *suite) {
	for _, to := range []string{"/etc/passwd", "../../statement.json", "nowhere"} {
		a := s.start(s.task("link", to))
		s.mustEnd(a, 0)
		_, err := s.Engine.Collect(s.Context(), a)
		s.mustRefuse(err, "attempt.output")
	}
}

func badStatement(s *suite) {
	for _, text := range []string{"", "null", "{}", "[]", `{"stage":"x"} {}`, `{"stage":"x","cuonts":{}}`, `{"stage":7}`,
		`{"stage":"` + strings.Repeat("x", 40<<10) + `"}`} {
		a := s.start(s.task("statement", text))
		s.mustEnd(a, 0)
		_, err := s.Engine.Collect(s.Context(), a)
		s.mustRefuse(err, "attempt.output")
	}
}

func service(s *suite) {
	t := s.task("serve")
	t.Service = true
	a := s.start(t)
	var said string
	for deadline := time.Now().Add(waitMax); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		conn, err := s.Engine.Dial(s.Context(), a)
		if err != nil {
			continue // it does not listen yet
		}
		data, err := io.ReadAll(conn)
		conn.Close()
		if err != nil {
			s.Fatal(err)
		}
		said = string(data)
		break
	}
	if said != "served by "+string(a.Job)+"\n" {
		s.Fatalf("the service said %q", said)
	}
	s.stop(a, 0)
	s.await(a, engine.Ended)
	if conn, err := s.Engine.Dial(s.Context(), a); err == nil {
		conn.Close()
		s.Fatal("a service that has ended was dialled")
	}
}

func changes(s *suite) {
	a := s.start(s.task("exit", "0"))
	deadline := time.After(waitMax)
	for {
		select {
		case <-s.Engine.Changed():
		case <-deadline:
			s.Fatal("no signal told of the end")
		}
		if o, err := s.Engine.Observe(s.Context(), a); err != nil {
			s.Fatal(err)
		} else if o.State == engine.Ended {
			return
		}
	}
}
