package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

// pollEvery is how often a watching command looks again.
const pollEvery = 250 * time.Millisecond

// bar shows how far long work is: a bar on a terminal, nothing elsewhere, so
// that logs stay readable.
type bar struct {
	out   io.Writer
	show  bool
	now   *progressbar.ProgressBar
	title string
}

func newBar(out io.Writer) *bar {
	file, isFile := out.(*os.File)
	return &bar{out: out, show: isFile && term.IsTerminal(int(file.Fd()))}
}

// set moves the bar of the title to done of total.
func (b *bar) set(title, detail string, done, total int64) {
	if !b.show || total <= 0 {
		return
	}
	if b.now == nil || b.title != title {
		b.clear()
		b.title = title
		b.now = progressbar.NewOptions64(total, progressbar.OptionSetWriter(b.out), progressbar.OptionSetWidth(28),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}))
	}
	b.now.ChangeMax64(total)
	b.now.Describe(fmt.Sprintf("    %-10s %s", title, detail))
	_ = b.now.Set64(min(done, total)) // only drawing can fail
}

// clear takes the bar off the screen.
func (b *bar) clear() {
	if b.now != nil {
		_ = b.now.Clear() // only drawing can fail
		b.now = nil
	}
}

// progress returns a callback that shows an upload or the like.
func (s *settings) progress(out io.Writer, en, ko string) func(done, total int64) {
	b := newBar(out)
	return func(done, total int64) {
		b.set(s.say(en, ko), "", done, total)
		if done >= total {
			b.clear()
		}
	}
}

// RunFailedError says that a followed run did not make it.
type RunFailedError struct{ Run, Reason string }

func (e *RunFailedError) Error() string { return fmt.Sprintf("run %s failed: %s", e.Run, e.Reason) }

// Hint says what the person can do.
func (e *RunFailedError) Hint() string {
	return "see what the stages printed: gaon run show " + e.Run + ", then gaon job logs --stderr JOB"
}

// followRun prints each stage as it goes, until the run ends or waits for
// people. Stages in told are left out; those it prints are added.
func (s *settings) followRun(ctx context.Context, out io.Writer, client *api.Client, id string, told map[string]bool) error {
	b := newBar(out)
	defer b.clear()
	for {
		var run api.Run
		if err := client.Get(ctx, "/runs/"+id, &run); err != nil {
			return err
		}
		for _, name := range factory.Stages {
			stage, begun := run.Stages[name]
			if !begun || told[name] {
				continue
			}
			if stage.State == job.Succeeded || stage.State == job.Failed {
				b.clear()
				told[name] = true
				fmt.Fprintln(out, s.stageLine(name, stage))
				if name == factory.StageGate && run.Gate != nil {
					s.gateLines(out, *run.Gate)
				}
				continue
			}
			s.stageBar(ctx, b, client, name, stage)
		}
		switch run.State {
		case factory.Failed:
			return &RunFailedError{id, run.Reason}
		case factory.Done, factory.Awaiting:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

func (s *settings) stageBar(ctx context.Context, b *bar, client *api.Client, name string, stage factory.Stage) {
	var p api.Progress
	if client.Get(ctx, "/jobs/"+string(stage.Job)+"/progress", &p) != nil || p.Total == 0 {
		return // nothing to show yet is no error
	}
	detail := ""
	if loss, ok := p.Values["loss"]; ok {
		detail = fmt.Sprintf("loss %.3f", loss)
	}
	b.set(s.stageName(name), detail, p.Done, p.Total)
}

func (s *settings) stageName(name string) string {
	return s.say(name, map[string]string{
		factory.StageCurate: "정제", factory.StageTokenizer: "토크나이저", factory.StageTrain: "학습", factory.StageEvaluate: "평가",
		factory.StageGate: "관문", factory.StageSign: "서명", factory.StageServe: "제공"}[name])
}

// stageLine says in one line what a stage made.
func (s *settings) stageLine(name string, stage factory.Stage) string {
	if stage.State == job.Failed {
		return fmt.Sprintf("  ✗ %s", s.stageName(name))
	}
	line := fmt.Sprintf("  ✓ %s", s.stageName(name))
	if stage.Statement == nil {
		return line
	}
	c, sc := stage.Statement.Counts, stage.Statement.Scores
	switch name {
	case factory.StageCurate:
		return line + fmt.Sprintf(s.say(": %d documents in, %d kept, %d held out, %d duplicates, %d pieces of personal data replaced",
			": 문서 %d건 중 %d건 채택, %d건 평가용, 중복 %d건 제거, 개인정보 %d건 치환"),
			c["documents_in"], c["documents_train"], c["documents_heldout"], c["documents_duplicate"], c["personal_replaced"])
	case factory.StageTokenizer:
		return line + fmt.Sprintf(s.say(": vocabulary of %d, %s tokens per eojeol", ": 어휘 %d개, 어절당 토큰 %s개"), c["vocabulary"], short(sc["tokens_per_eojeol"]))
	case factory.StageTrain:
		return line + fmt.Sprintf(s.say(": %d parameters, %d steps, %d tokens", ": 매개변수 %d개, %d단계, 토큰 %d개"), c["parameters"], c["steps"], c["tokens"])
	case factory.StageEvaluate:
		return line + fmt.Sprintf(s.say(": %s bits per byte on unseen text; byte 5-gram %s, byte unigram %s, %s %s",
			": 처음 보는 글에서 바이트당 %s비트 (바이트 5-gram %s, 바이트 unigram %s, %s %s)"),
			short(sc["bits_per_byte"]), short(sc["baseline.byte_5gram"]), short(sc["baseline.byte_unigram"]), dash(stage.Statement.Notes["compressor"]), short(sc["baseline.zstd"]))
	}
	return line
}

// short writes a score with three decimals, for reading; records have all six.
func short(m unit.Micro) string { return fmt.Sprintf("%.3f", float64(m)/1e6) }

func (s *settings) gateLines(out io.Writer, verdict factory.Verdict) {
	for _, line := range verdict.Lines {
		mark := "✓"
		if !line.Holds {
			mark = "✗"
		}
		fmt.Fprintf(out, "      %s %s   (%s | %s)\n", mark, line.Condition, short(line.Value), short(line.Limit))
	}
}

// now is the present as an instant.
func now() unit.Instant { return unit.Instant(time.Now().UnixMilli()) }
