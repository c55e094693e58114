package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// user is what tokens are counted by.
type user struct {
	endpoint model.EndpointID
	key      party.KeyID
}

// tally is what a user has used since the last flush.
type tally struct {
	model.Tokens
	from unit.Instant
}

// batch is a tally on its way into the ledger. Its name stays the same over
// retries: a write whose outcome was unknown is not written twice.
type batch struct {
	name    string
	metered model.Metered
}

// meter counts tokens between flushes.
type meter struct {
	life string // tells the batches of this process from those of others

	mu      sync.Mutex
	tallies map[user]tally // guarded by mu

	flushing sync.Mutex
	batches  []batch // guarded by flushing: not in the ledger yet, oldest first
	named    int     // guarded by flushing
}

func newMeter() meter { return meter{life: rand.Text(), tallies: map[user]tally{}} }

// add counts one request.
func (m *meter) add(u user, t model.Tokens, at unit.Instant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum, ok := m.tallies[u]
	if !ok {
		sum.from = at
	}
	sum.Requests += t.Requests
	sum.Prompt += t.Prompt
	sum.Completion += t.Completion
	m.tallies[u] = sum
}

// take moves what was counted into batches.
func (m *meter) take(until unit.Instant) {
	m.mu.Lock()
	tallies := m.tallies
	m.tallies = map[user]tally{}
	m.mu.Unlock()
	order := func(a, b user) int { return cmp.Or(cmp.Compare(a.endpoint, b.endpoint), cmp.Compare(a.key, b.key)) }
	for _, u := range slices.SortedFunc(maps.Keys(tallies), order) {
		t := tallies[u]
		m.named++
		m.batches = append(m.batches, batch{fmt.Sprintf("meter/%s/%d", m.life, m.named),
			model.Metered{Endpoint: u.endpoint, Key: u.key, From: t.from, Until: until, Tokens: t.Tokens}})
	}
}

// flushAtOnce bounds the batches on their way at once: the writer makes them
// durable together, so many keys cost little more than one.
const flushAtOnce = 64

// flush records what was used and returns how many batches could not be. They
// are kept, under their names, and tried again.
func (g *Gateway) flush(ctx context.Context) int {
	m := &g.meter
	m.flushing.Lock()
	defer m.flushing.Unlock()
	m.take(g.Now())
	var left []batch
	for group := range slices.Chunk(m.batches, flushAtOnce) {
		kept := make([]bool, len(group))
		var all sync.WaitGroup
		for i, b := range group {
			all.Go(func() { kept[i] = !g.record(ctx, b) })
		}
		all.Wait()
		for i, b := range group {
			if kept[i] {
				left = append(left, b)
			}
		}
	}
	m.batches = left
	return len(left)
}

// record puts a batch into the ledger; false when it must be tried again.
func (g *Gateway) record(ctx context.Context, b batch) bool {
	_, err := g.Writer.Do(ctx, writer.Order{By: centre.Controller, Key: b.name, Command: centre.MeterTokens{Metered: b.metered}})
	var refusal interface{ Code() string }
	switch {
	case err == nil:
		return true
	case errors.As(err, &refusal):
		// It would be refused for ever: an operator has to see what it was.
		g.Log.Error("tokens not metered", "endpoint", b.metered.Endpoint, "key", b.metered.Key, "requests", b.metered.Requests,
			"prompt", b.metered.Prompt, "completion", b.metered.Completion, "err", err)
		return true
	}
	g.Log.Warn("tokens not metered yet", "endpoint", b.metered.Endpoint, "key", b.metered.Key, "err", err)
	return false
}
