package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/serving"
	"github.com/gaon-ai/gaon/internal/unit"
)

// limiter holds each key to so many requests a minute and so many at once. A
// key may use its minute's requests in one go; they come back evenly.
type limiter struct {
	perMinute  int64
	concurrent int

	mu   sync.Mutex
	keys map[party.KeyID]*allowance // guarded by mu
}

// allowance is what a key has left.
type allowance struct {
	// level is in requests × milliseconds of a minute, so that what comes back
	// in a millisecond is a whole number.
	level    int64
	at       unit.Instant
	underway int
}

// whole is one request in an allowance's level.
const whole = int64(unit.Minute)

// refill brings the allowance to the present. A clock set back gives nothing.
func (a *allowance) refill(now unit.Instant, perMinute int64) {
	passed := min(max(int64(now.Sub(a.at)), 0), whole)
	a.level = min(a.level+passed*perMinute, perMinute*whole)
	a.at = now
}

// begin takes one request from the key's allowance and notes in the headers
// what is left. Each begin that succeeds is followed by one end.
func (l *limiter) begin(key party.KeyID, now unit.Instant, header http.Header) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.keys[key]
	if a == nil {
		a = &allowance{level: l.perMinute * whole, at: now}
		l.keys[key] = a
	}
	a.refill(now, l.perMinute)
	header.Set("X-Ratelimit-Limit-Requests", strconv.FormatInt(l.perMinute, 10))
	header.Set("X-Ratelimit-Remaining-Requests", strconv.FormatInt(max(a.level/whole-1, 0), 10))
	if a.underway >= l.concurrent {
		return limited(1, "%d requests of this key are under way, at most %d at once: wait for one to end", a.underway, l.concurrent)
	}
	if a.level < whole {
		wait := (whole - a.level + l.perMinute - 1) / l.perMinute // milliseconds
		return limited(int((wait+999)/1000), "this key may send %d requests a minute: the next in %d ms", l.perMinute, wait)
	}
	a.level -= whole
	a.underway++
	return nil
}

func limited(seconds int, format string, a ...any) error {
	return &serving.Problem{Status: http.StatusTooManyRequests, Type: serving.RateLimit, Kind: "rate_limit_exceeded",
		RetryAfter: max(seconds, 1), Message: fmt.Sprintf(format, a...)}
}

func (l *limiter) end(key party.KeyID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[key].underway--
}

// forget drops keys whose allowance is full again: a new one would be the same.
func (l *limiter) forget(now unit.Instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, a := range l.keys {
		if a.refill(now, l.perMinute); a.underway == 0 && a.level == l.perMinute*whole {
			delete(l.keys, key)
		}
	}
}
