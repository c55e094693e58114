// Package writer is the one place where a centre changes: it stamps a command,
// lets the core decide it, makes the entry durable, applies it, and only then
// answers.
//
// It decides nothing itself, and it acts on nothing: controllers follow the
// state it publishes.
//
// Begin with Open, Writer.Do and Writer.State.
package writer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Limits of the writer's queue and of one group commit.
const (
	queueMax        = 1024   // commands that may wait
	batchEntriesMax = 256    // entries in one durable write
	snapshotEvery   = 20_000 // entries between snapshots
	replayBatch     = 1024   // entries read at once while loading
)

// Config is what a writer needs.
type Config struct {
	Ledger ledger.Ledger
	Now    func() unit.Instant
	// Warn is told of a snapshot that could not be saved or used: the ledger
	// alone is the truth, so this never stops the writer.
	Warn func(error)
}

// Order is one command with its author.
type Order struct {
	By      string // person id, centre.Controller or centre.Founder
	Key     string // names the command: sent again, it is answered again, not done again
	Command centre.Command
	Side    []ledger.Side // sealed records stored with the entry
}

// Writer owns the state. Any number of goroutines may call its methods.
type Writer struct {
	config Config
	orders chan waiting
	stop   chan struct{}
	done   chan struct{}
	state  atomic.Pointer[published]

	closing sync.Once
	fatal   error // set before done closes
}

type waiting struct {
	ctx    context.Context
	order  Order
	answer chan answer
}

type answer struct {
	outcome centre.Outcome
	err     error
}

// published is a state and the signal that a newer one has replaced it.
type published struct {
	state *centre.State
	moved chan struct{}
}

// ErrStopped answers commands after the writer has stopped.
var ErrStopped = errors.New("the centre is stopping")

// Open loads the state from the newest usable snapshot and the entries after
// it, and starts the writer.
func Open(ctx context.Context, c Config) (*Writer, error) {
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	state, err := Load(ctx, c.Ledger, c.Warn)
	if err != nil {
		return nil, err
	}
	w := &Writer{config: c, orders: make(chan waiting, queueMax), stop: make(chan struct{}), done: make(chan struct{})}
	w.publish(state.Copy())
	go w.run(state)
	return w, nil
}

// Load rebuilds the state of a ledger. A snapshot that does not match the
// hash stored with it is passed over: entries alone give the same state.
func Load(ctx context.Context, l ledger.Ledger, warn func(error)) (*centre.State, error) {
	head, err := l.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the ledger's head: %w", err)
	}
	state := fromSnapshot(ctx, l, head.Size, warn)
	for state.Seq < head.Size {
		entries, err := l.Read(ctx, state.Seq, replayBatch)
		if err != nil {
			return nil, fmt.Errorf("read entries from %d: %w", state.Seq, err)
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("the ledger's head counts %d entries, only %d are there: restore it from a backup, then run: gaon verify", head.Size, state.Seq)
		}
		for _, raw := range entries {
			entry, err := centre.DecodeEntry(raw.Data)
			if err != nil {
				return nil, fmt.Errorf("ledger entry %d: %w", raw.Seq, err)
			}
			state.Apply(entry)
		}
	}
	return state, nil
}

func fromSnapshot(ctx context.Context, l ledger.Ledger, size int64, warn func(error)) *centre.State {
	snapshot, err := l.LatestSnapshot(ctx)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
	case err != nil:
		warn(fmt.Errorf("snapshot not readable, replaying every entry: %w", err))
	case snapshot.Size > size:
		warn(fmt.Errorf("snapshot of %d entries is ahead of the ledger's %d, replaying every entry", snapshot.Size, size))
	case unit.DigestOf(snapshot.Data) != snapshot.StateHash:
		warn(fmt.Errorf("snapshot of %d entries does not match its hash, replaying every entry", snapshot.Size))
	default:
		state, err := centre.Decode(snapshot.Data)
		if err == nil && state.Seq == snapshot.Size {
			return state
		}
		warn(fmt.Errorf("snapshot of %d entries was written by another version, replaying every entry", snapshot.Size))
	}
	return new(centre.State)
}

// State returns the newest durable state. It is never changed again.
func (w *Writer) State() *centre.State { return w.state.Load().state }

// Watch returns the newest durable state and a channel that closes once there
// is a newer one.
func (w *Writer) Watch() (*centre.State, <-chan struct{}) {
	p := w.state.Load()
	return p.state, p.moved
}

func (w *Writer) publish(s *centre.State) {
	old := w.state.Swap(&published{s, make(chan struct{})})
	if old != nil {
		close(old.moved)
	}
}

// Do decides the order and returns once its entry is durable, or with the
// refusal. An order that changes nothing succeeds with Seq -1. When the
// context ends first the outcome is unknown: send the same key again.
func (w *Writer) Do(ctx context.Context, o Order) (centre.Outcome, error) {
	request := waiting{ctx, o, make(chan answer, 1)}
	select {
	case w.orders <- request:
	case <-ctx.Done():
		return centre.Outcome{}, ctx.Err()
	case <-w.done:
		return centre.Outcome{}, w.stopped()
	}
	select {
	case a := <-request.answer:
		return a.outcome, a.err
	case <-ctx.Done():
		return centre.Outcome{}, ctx.Err()
	case <-w.done:
		// The loop may have answered just before it ended.
		select {
		case a := <-request.answer:
			return a.outcome, a.err
		default:
			return centre.Outcome{}, w.stopped()
		}
	}
}

func (w *Writer) stopped() error {
	if w.fatal != nil {
		return w.fatal
	}
	return ErrStopped
}

// Done closes when the writer has stopped; Err then says why.
func (w *Writer) Done() <-chan struct{} { return w.done }

// Err is what stopped the writer, nil after Close. Only after Done.
func (w *Writer) Err() error { return w.fatal }

// Close lets waiting orders finish, saves a snapshot and stops.
func (w *Writer) Close() error {
	w.closing.Do(func() { close(w.stop) })
	<-w.done
	return w.fatal
}

// run is the writer's only goroutine; it alone touches working.
func (w *Writer) run(working *centre.State) {
	defer close(w.done)
	saved := working.Seq
	for {
		var first waiting
		select {
		case first = <-w.orders:
		default:
			select {
			case first = <-w.orders:
			case <-w.stop:
				w.snapshot(working)
				return
			}
		}
		next, err := w.commit(working, first)
		if err != nil {
			w.fatal = err
			return
		}
		working = next
		if working.Seq-saved >= snapshotEvery {
			w.snapshot(working)
			saved = working.Seq
		}
	}
}

// commit decides a group of orders one after another, each seeing the ones
// before it, writes their entries at once, and only then answers any of them:
// a refusal may rest on an order of the same group that is not durable yet.
func (w *Writer) commit(working *centre.State, first waiting) (*centre.State, error) {
	base := working.Seq
	var (
		entries [][]byte
		side    []ledger.Side
		group   []waiting
		answers []answer
	)
	for request, more := first, true; more; request, more = w.next(len(group)) {
		entry, data, err := w.decide(working, request)
		group = append(group, request)
		if err != nil {
			answers = append(answers, refusal(err))
			continue
		}
		answers = append(answers, answer{outcome: centre.Outcome{Seq: working.Seq, Made: entry.Made}})
		working.Apply(entry)
		entries, side = append(entries, data), append(side, request.order.Side...)
	}
	var failed error
	if len(entries) > 0 {
		// The context is the writer's own: a caller who goes away must not
		// undo what others in the group wait for.
		if _, err := w.config.Ledger.Append(context.Background(), base, entries, side...); err != nil {
			failed = fmt.Errorf("append entry %d: %w", base, err)
		}
	}
	switch {
	case failed == nil && len(entries) > 0:
		// At this point the entries are durable; if we stop here, Load finds
		// them and a caller who asks again by key gets the same answer.
		w.publish(working.Copy())
	case failed != nil:
		// Nothing was written, or nobody knows: nobody is told otherwise.
		for i := range answers {
			answers[i] = answer{err: failed}
		}
		working = w.State().Copy()
	}
	for i, request := range group {
		request.answer <- answers[i]
	}
	if errors.Is(failed, ledger.ErrFatal) {
		return nil, failed
	}
	return working, nil
}

// next takes one more order into the group if one waits already.
func (w *Writer) next(taken int) (waiting, bool) {
	if taken >= batchEntriesMax {
		return waiting{}, false
	}
	select {
	case request := <-w.orders:
		return request, true
	default:
		return waiting{}, false
	}
}

func (w *Writer) decide(working *centre.State, request waiting) (centre.Entry, []byte, error) {
	if err := request.ctx.Err(); err != nil {
		return centre.Entry{}, nil, err
	}
	o := request.order
	entry, err := working.Decide(w.config.Now(), o.By, o.Key, o.Command)
	if err != nil {
		return centre.Entry{}, nil, err
	}
	data, err := entry.Encode()
	return entry, data, err
}

// refusal answers what was not written. A repeated command gets its first
// outcome, and a command that changes nothing succeeds.
func refusal(err error) answer {
	var repeated *centre.Repeated
	var nothing *centre.NothingError
	switch {
	case errors.As(err, &repeated):
		return answer{outcome: repeated.Outcome}
	case errors.As(err, &nothing):
		return answer{outcome: centre.Outcome{Seq: -1}}
	}
	return answer{err: err}
}

func (w *Writer) snapshot(s *centre.State) {
	data, err := s.Encode()
	if err == nil {
		err = w.config.Ledger.SaveSnapshot(context.Background(), ledger.Snapshot{Size: s.Seq, StateHash: unit.DigestOf(data), Data: data})
	}
	if err != nil {
		w.config.Warn(fmt.Errorf("save a snapshot of %d entries: %w", s.Seq, err))
	}
}
