package local

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/gaon-ai/gaon/internal/engine"
)

// Bounds of what work says of itself while it runs.
const (
	progressBytesMax = 64 << 10
	metricLineMax    = 16 << 10
	metricsMax       = 10_000 // points of one answer; the caller asks on
	metricValuesMax  = 64
	metricsBytesMax  = 256 << 20 // of the file that are read
)

// Logs reads a stream from offset on, to where it ends now. It works for
// forgotten attempts too.
func (e *Engine) Logs(ctx context.Context, a engine.Attempt, stream string, offset int64) (io.ReadCloser, error) {
	if stream != engine.Stdout && stream != engine.Stderr {
		return nil, fmt.Errorf("logs of attempt %s: no stream %q", a, stream)
	}
	if offset < 0 {
		return nil, fmt.Errorf("logs of attempt %s: offset %d is negative", a, offset)
	}
	at := e.get(a)
	at.mu.Lock()
	claimed := at.claimed
	at.mu.Unlock()
	if !claimed {
		return nil, &engine.UnknownError{Attempt: a}
	}
	f, err := os.Open(filepath.Join(at.dir, stream+".log"))
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(bytes.NewReader(nil)), nil // it has not begun
	}
	if err != nil {
		return nil, fmt.Errorf("logs of attempt %s: %w", a, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("logs of attempt %s: %w", a, err), f.Close())
	}
	return &section{io.NewSectionReader(f, offset, max(info.Size()-offset, 0)), f}, nil
}

type section struct {
	io.Reader
	io.Closer
}

// Progress reads how far the work has come. It is only ever shown, so what
// cannot be read is as if absent.
func (e *Engine) Progress(ctx context.Context, a engine.Attempt) (engine.Progress, error) {
	at, err := e.known(a)
	if err != nil {
		return engine.Progress{}, err
	}
	f, err := openInside(filepath.Join(at.dir, workFolder, "progress.json"))
	if err != nil {
		return engine.Progress{}, nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, progressBytesMax+1))
	if err != nil {
		return engine.Progress{}, fmt.Errorf("progress of attempt %s: %w", a, err)
	}
	return parseProgress(data), nil
}

func parseProgress(data []byte) engine.Progress {
	var p engine.Progress
	if len(data) > progressBytesMax || json.Unmarshal(data, &p) != nil || p.Done < 0 || p.Total < 0 || len(p.Values) > metricValuesMax {
		return engine.Progress{}
	}
	return p
}

// pointMark says that so many points lie before the offset.
type pointMark struct {
	points int
	offset int64
}

// marksMax and markEvery bound the memory of one attempt's marks.
const (
	markEvery = 1000
	marksMax  = 1000
)

// Metrics returns points from the from-th on, at most metricsMax. A line that
// is no point does not count; a last line without its end is not read yet.
func (e *Engine) Metrics(ctx context.Context, a engine.Attempt, from int) ([]engine.Metric, error) {
	at, err := e.known(a)
	if err != nil {
		return nil, err
	}
	f, err := openInside(filepath.Join(at.dir, workFolder, "metrics.jsonl"))
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	at.mu.Lock()
	defer at.mu.Unlock()
	start := pointMark{}
	for _, m := range at.points {
		if m.points <= from {
			start = m
		}
	}
	list, marks, err := readMetrics(io.NewSectionReader(f, start.offset, metricsBytesMax-start.offset), start, from)
	if err != nil {
		return nil, fmt.Errorf("metrics of attempt %s: %w", a, err)
	}
	for _, m := range marks {
		if n := len(at.points); n < marksMax && (n == 0 || at.points[n-1].points < m.points) {
			at.points = append(at.points, m)
		}
	}
	return list, nil
}

// readMetrics reads points from r, which begins at the mark, and returns those
// from the from-th on, and marks on the way.
func readMetrics(r io.Reader, at pointMark, from int) ([]engine.Metric, []pointMark, error) {
	lines := bufio.NewReaderSize(r, metricLineMax)
	list, marks := []engine.Metric{}, []pointMark{}
	tooLong := false
	for len(list) < metricsMax {
		line, err := lines.ReadSlice('\n')
		at.offset += int64(len(line))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			tooLong = true
			continue
		case errors.Is(err, io.EOF):
			return list, marks, nil
		case err != nil:
			return nil, nil, err
		}
		m, ok := parseMetric(line)
		if ok && !tooLong {
			if at.points >= from {
				list = append(list, m)
			}
			at.points++
			if at.points%markEvery == 0 {
				marks = append(marks, at)
			}
		}
		tooLong = false
	}
	return list, marks, nil
}

func parseMetric(line []byte) (engine.Metric, bool) {
	var m engine.Metric
	err := json.Unmarshal(line, &m)
	return m, err == nil && len(m.Values) > 0 && len(m.Values) <= metricValuesMax
}

// socketName is where a service listens, in its working folder.
const socketName = "serve.sock"

// Dial connects to the service's socket.
func (e *Engine) Dial(ctx context.Context, a engine.Attempt) (net.Conn, error) {
	at, err := e.known(a)
	if err != nil {
		return nil, err
	}
	conn, err := dialSocket(ctx, filepath.Join(at.dir, workFolder, socketName))
	if err != nil {
		return nil, fmt.Errorf("dial the service of attempt %s: %w", a, err)
	}
	return conn, nil
}
