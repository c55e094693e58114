package portal

import "sync"

// memo remembers what is costly to find out, for as many viewers as there are:
// while one of them works out a value the others wait for it.
type memo[K comparable, V any] struct {
	most int

	mu      sync.Mutex
	entries map[K]*remembered[V] // guarded by mu
	uses    int64                // guarded by mu
}

type remembered[V any] struct {
	used int64 // guarded by memo.mu

	mu    sync.Mutex
	known bool  // guarded by mu
	value V     // guarded by mu
	stamp stamp // guarded by mu
}

// stamp says under what a value was made: which state, and when or in which
// condition of what is not in the state. The zero stamp is for what never
// changes.
type stamp struct{ seq, moment int64 }

func newMemo[K comparable, V any](most int) *memo[K, V] {
	return &memo[K, V]{most: most, entries: map[K]*remembered[V]{}}
}

// get returns the value of the key, making it if there is none or if the one
// there is was made under another stamp.
func (m *memo[K, V]) get(key K, now stamp, make func(old V) V) V {
	e := m.entry(key)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.known || e.stamp != now {
		e.value, e.stamp, e.known = make(e.value), now, true
	}
	return e.value
}

// drop forgets the value of the key.
func (m *memo[K, V]) drop(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

func (m *memo[K, V]) entry(key K) *remembered[V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses++
	e := m.entries[key]
	if e == nil {
		for len(m.entries) >= m.most {
			m.forgetOldest()
		}
		e = &remembered[V]{}
		m.entries[key] = e
	}
	e.used = m.uses
	return e
}

func (m *memo[K, V]) forgetOldest() {
	var oldest K
	least := m.uses + 1
	for key, e := range m.entries {
		if e.used < least {
			oldest, least = key, e.used
		}
	}
	delete(m.entries, oldest)
}
