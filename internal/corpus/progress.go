package corpus

import (
	"sync"
	"sync/atomic"
	"time"
)

// progressEvery is how often Config.Progress is called.
const progressEvery = 200 * time.Millisecond

// Names of the steps, as Progress and Timing tell them.
const (
	stepRead       = "read"
	stepDuplicates = "duplicates"
	stepHeldOut    = "heldout"
	stepFilter     = "filter"
)

// Timing is how long a step took. It is told to the caller alone and stands in
// no file, so that files are the same from run to run.
type Timing struct {
	Step string
	Took time.Duration
}

// meter calls the caller's function from time to time and times the steps.
type meter struct {
	call        func(Progress)
	done, bytes atomic.Int64

	mu      sync.Mutex // guards what follows, and calls to call
	now     Progress   // the step and its totals
	began   time.Time
	timings []Timing
	stop    chan struct{}
	ended   sync.WaitGroup
}

// start begins to call. Every start is followed by one finish.
func (m *meter) start() {
	m.stop = make(chan struct{})
	if m.call == nil {
		return
	}
	m.ended.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.mu.Lock()
				if m.now.Step != "" {
					m.tell()
				}
				m.mu.Unlock()
			case <-m.stop:
				return
			}
		}
	})
}

func (m *meter) finish() {
	m.endStep()
	close(m.stop)
	m.ended.Wait()
}

// step begins a step; the one before it has ended. Totals are 0 where unknown.
func (m *meter) step(name string, documents, bytes int64) {
	m.endStep()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.Store(0)
	m.bytes.Store(0)
	m.now, m.began = Progress{Step: name, DocumentsTotal: documents, BytesTotal: bytes}, time.Now()
}

func (m *meter) endStep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now.Step == "" {
		return
	}
	m.timings = append(m.timings, Timing{m.now.Step, time.Since(m.began)})
	m.tell()
	m.now = Progress{}
}

// tell calls with mu held.
func (m *meter) tell() {
	if m.call == nil {
		return
	}
	p := m.now
	p.Documents, p.Bytes = m.done.Load(), m.bytes.Load()
	if p.Step == stepDuplicates { // counted in keys: fifteen a document
		p.Documents = min(p.Documents/(bands+1), p.DocumentsTotal)
	}
	m.call(p)
}
