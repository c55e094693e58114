package portal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/unit"
)

// What a finished training leaves, as package stage writes it.
const (
	trainingOutput = "training"
	lossFile       = "loss.jsonl"
)

// Bounds of a loss curve.
const (
	lossPointsMax = 1_000   // on the page; steps are averaged into so many
	lossStepsMax  = 1 << 24 // read
	lossLineBytes = 64 << 10
)

// lossKey names where a curve comes from: an attempt under way, or the tree
// that a finished training left.
type lossKey struct {
	attempt engine.Attempt
	tree    unit.Digest
}

// lossPoint is the mean loss of some steps, the last of them and its learning
// rate. It travels as [step, loss, rate].
type lossPoint struct {
	step       int64
	loss, rate float64
}

// MarshalJSON writes the point as an array.
func (l lossPoint) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]float64{float64(l.step), l.loss, l.rate})
}

// lossLog is a curve as far as it was read. It is never changed, only
// replaced: viewers read it while another is made.
type lossLog struct {
	read   int // points of the engine
	points []lossPoint
	open   lossPoint // the point that is not full yet
	sum    float64
	count  int64
}

// add takes one more step in; stride steps make a point.
func (l *lossLog) add(m engine.Metric, stride int64) {
	loss, ok := m.Values["loss"]
	if !ok {
		return
	}
	l.sum += finite(loss)
	l.count++
	l.open = lossPoint{m.Step, l.sum / float64(l.count), finite(m.Values["learning_rate"])}
	if l.count >= stride {
		l.points = append(l.points, l.open)
		l.sum, l.count = 0, 0
	}
}

// finite keeps a number that a job wrote within what can be drawn, added up
// and sent.
func finite(v float64) float64 { return min(max(v, -1e9), 1e9) }

// shown are the full points and the one under way.
func (l *lossLog) shown() []lossPoint {
	if l == nil {
		return nil
	}
	if l.count == 0 {
		return l.points
	}
	return append(l.points[:len(l.points):len(l.points)], l.open)
}

// strideOf is how many steps make a point, so that a curve is short enough.
func strideOf(run factory.Run) int64 {
	return max(1, (int64(run.Recipe.Train.Steps)+lossPointsMax-1)/lossPointsMax)
}

// lossCurve returns the run's curve and whether it will still grow.
func (p *Portal) lossCurve(state *centre.State, now unit.Instant, run factory.Run) (points []lossPoint, growing bool) {
	stride := strideOf(run)
	if tree, ok := run.Output(trainingOutput); ok {
		key := lossKey{tree: tree}
		log := p.losses.get(key, stamp{}, func(*lossLog) *lossLog { return p.readLoss(tree, stride) })
		if log == nil {
			p.losses.drop(key)
		}
		return log.shown(), false
	}
	begun := run.Stages[factory.StageTrain]
	j, known := state.Jobs.Get(begun.Job)
	growing = !ended(run) && !j.Done()
	e, attempt := p.attemptOf(begun.Job, j)
	if !known || e == nil || j.Attempt == 0 {
		return nil, growing
	}
	log := p.losses.get(lossKey{attempt: attempt}, stamp{moment: int64(now) / 500}, func(old *lossLog) *lossLog {
		return p.readMetrics(e, attempt, old, stride)
	})
	return log.shown(), growing
}

// readMetrics goes on where old ended.
func (p *Portal) readMetrics(e engine.Engine, attempt engine.Attempt, old *lossLog, stride int64) *lossLog {
	ctx, stop := context.WithTimeout(context.Background(), engineTimeout)
	defer stop()
	next := &lossLog{}
	if old != nil {
		*next = *old
	}
	metrics, err := e.Metrics(ctx, attempt, next.read)
	if err != nil {
		p.noteEngine(err, attempt)
		return old
	}
	for _, m := range metrics {
		next.add(m, stride)
	}
	next.read += len(metrics)
	return next
}

// readLoss reads what a finished training left; nil if it cannot be read now.
func (p *Portal) readLoss(tree unit.Digest, stride int64) (log *lossLog) {
	err := readFileOf(context.Background(), p.Store, tree, lossFile, func(r io.Reader) (err error) {
		log, err = parseLoss(r, stride)
		return err
	})
	if err != nil {
		p.Log.Warn("loss log not readable", "tree", tree, "err", err)
		return nil
	}
	return log
}

// parseLoss reads one engine.Metric a line, at most lossStepsMax of them.
func parseLoss(r io.Reader, stride int64) (*lossLog, error) {
	log := &lossLog{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lossLineBytes)
	for steps := 0; lines.Scan() && steps < lossStepsMax; steps++ {
		var m engine.Metric
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("line %d: %w", steps+1, err)
		}
		log.add(m, stride)
	}
	return log, lines.Err()
}

// readFileOf opens one file of a tree in the store.
func readFileOf(ctx context.Context, store artifact.Store, tree unit.Digest, name string, read func(io.Reader) error) error {
	listing, err := artifact.ReadTree(ctx, store, tree)
	if err != nil {
		return err
	}
	file, ok := listing.Find(name)
	if !ok {
		return fmt.Errorf("tree %s has no file %s", tree, name)
	}
	r, err := store.Open(ctx, file.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	return read(r)
}

// lossView is the curve as the page first shows it; a script then goes on.
type lossView struct {
	ID      factory.ID
	Steps   int
	Line    string // points of an SVG line in a box of 1000 by 300
	Last    string
	First   string
	Lowest  string
	Growing bool
}

func (p *Portal) lossOf(state *centre.State, id factory.ID, run factory.Run) lossView {
	points, growing := p.lossCurve(state, p.Now(), run)
	view := lossView{ID: id, Steps: run.Recipe.Train.Steps, Growing: growing}
	if len(points) == 0 {
		return view
	}
	low, high := points[0].loss, points[0].loss
	for _, point := range points {
		low, high = min(low, point.loss), max(high, point.loss)
	}
	var line strings.Builder
	for _, point := range points {
		x := float64(point.step) / float64(max(1, view.Steps)) * 1000
		y := 290 - (point.loss-low)/max(high-low, 1e-9)*280
		fmt.Fprintf(&line, "%.1f,%.1f ", x, y)
	}
	view.Line = strings.TrimSpace(line.String())
	view.First, view.Last, view.Lowest = fmt.Sprintf("%.3f", points[0].loss), fmt.Sprintf("%.3f", points[len(points)-1].loss), fmt.Sprintf("%.3f", low)
	return view
}

// showLoss sends the points from the from-th on. A point that is not full yet
// is sent too, and again when it has grown; who has more points than there are
// is sent all: an attempt was lost and the curve went back.
func (p *Portal) showLoss(w http.ResponseWriter, r *http.Request, v *visit) {
	_, run, ok := v.run(r.PathValue("run"))
	if !ok {
		p.missing(w, v)
		return
	}
	points, growing := p.lossCurve(v.State, v.Now, run)
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil || from < 0 || from > len(points) {
		from = 0
	}
	answer := struct {
		From    int         `json:"from"`
		Points  []lossPoint `json:"points"`
		Steps   int         `json:"steps"`
		Growing bool        `json:"growing"`
	}{from, append([]lossPoint{}, points[from:]...), run.Recipe.Train.Steps, growing}
	data, err := json.Marshal(answer)
	if err != nil {
		p.fault(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // who asked may be gone
}
