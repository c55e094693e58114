package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errNoLibrary says that a maker's library is not on this machine, or that
// this program was built without what loads it. Its tool is asked then.
var errNoLibrary = errors.New("the library is not there")

// silentError says that a library has not answered. Its tool is not asked
// then: it would wait for the same driver.
type silentError struct {
	since time.Time // when the call began
	err   error     // why nobody waits for it any longer
}

func (e silentError) Error() string {
	return fmt.Sprintf("asked at %s, no answer: %v", e.since.Format(time.RFC3339), e.err)
}

func (e silentError) Unwrap() error { return e.err }

// errAskedAlready says that an earlier call has not come back.
var errAskedAlready = errors.New("it is not asked again until it has answered")

// library asks a maker's library inside this process. A device that has fallen
// off its bus makes such a library hang, and a call into it cannot be ended.
// So each call has a goroutine of its own, nobody waits for it longer than max,
// and there is at most one: while it is stuck, no other is begun, and what is
// lost to a driver that hangs for ever is one thread.
type library struct {
	call func() ([]card, error)
	max  time.Duration

	mu    sync.Mutex
	since time.Time // when the call under way began, zero where there is none; mu guards it
}

// ask gives what the call gives, or a silentError. An answer that comes after
// nobody waits for it is dropped: the next asker gets a fresh one.
func (l *library) ask(ctx context.Context) ([]card, error) {
	l.mu.Lock()
	since := l.since
	if since.IsZero() {
		l.since = time.Now()
	}
	l.mu.Unlock()
	if !since.IsZero() {
		return nil, silentError{since, errAskedAlready}
	}

	ctx, cancel := context.WithTimeout(ctx, l.max)
	defer cancel()
	began := time.Now()
	var cards []card
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		cards, err = l.call()
		l.mu.Lock()
		l.since = time.Time{}
		l.mu.Unlock()
	}()
	select {
	case <-done:
		return cards, err
	case <-ctx.Done():
		return nil, silentError{began, ctx.Err()}
	}
}
