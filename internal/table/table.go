// Package table is the ordered map the whole state is made of: it copies in
// constant time, ranges in key order, and encodes to the same bytes for the
// same contents, so a snapshot's hash says whether two states are equal.
//
// It is not a database: values must be treated as immutable. To change one,
// Get it, change the copy, and Put it back with fresh slices and maps.
//
// Begin with the zero Table, which is empty and ready.
package table

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/tidwall/btree"
)

// Table maps keys of a string type to immutable values, in key order.
// One goroutine writes it; copies may be read by any number of others.
type Table[K ~string, V any] struct {
	tree *btree.Map[string, V]
}

// Copy returns a table that shares nothing that either side can still change.
// Only the goroutine that writes the table may call it.
func (t *Table[K, V]) Copy() Table[K, V] {
	if t.tree == nil {
		return Table[K, V]{}
	}
	return Table[K, V]{tree: t.tree.Copy()}
}

// Get returns the value under the key.
func (t *Table[K, V]) Get(key K) (V, bool) {
	if t.tree == nil {
		var none V
		return none, false
	}
	return t.tree.Get(string(key))
}

// Put sets the value under the key.
func (t *Table[K, V]) Put(key K, value V) {
	if t.tree == nil {
		t.tree = new(btree.Map[string, V])
	}
	t.tree.Set(string(key), value)
}

// Delete removes the key; an absent key is no matter.
func (t *Table[K, V]) Delete(key K) {
	if t.tree != nil {
		t.tree.Delete(string(key))
	}
}

// Len returns how many keys there are.
func (t *Table[K, V]) Len() int {
	if t.tree == nil {
		return 0
	}
	return t.tree.Len()
}

// All ranges over the table in key order.
func (t *Table[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.tree != nil {
			t.tree.Scan(func(k string, v V) bool { return yield(K(k), v) })
		}
	}
}

// First returns the smallest key and its value.
func (t *Table[K, V]) First() (K, V, bool) {
	if t.tree == nil {
		var none V
		return "", none, false
	}
	k, v, ok := t.tree.Min()
	return K(k), v, ok
}

// MarshalJSON writes one JSON object with its keys in order.
func (t Table[K, V]) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for k, v := range t.All() {
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(string(k))
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Table[K, V]) UnmarshalJSON(data []byte) error {
	var values map[string]V
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	*t = Table[K, V]{}
	for k, v := range values {
		t.Put(K(k), v)
	}
	return nil
}
