// Package artifact keeps what jobs read and write, by content: a blob is named
// by the SHA-256 of its bytes, a tree by that of a listing of blobs. A name
// once given always means the same bytes, on any centre.
//
// It is not a file system and has no opinion on who may read what: policy
// decides before anybody asks a store. It does not know which artifacts still
// matter; the ledger does, and tells Collect.
//
// Begin with folder.Open for a store, then PutTree and Checkout.
package artifact

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Store keeps blobs. All methods may be called from several goroutines.
type Store interface {
	// Put stores what r yields and returns its name and size. When it returns
	// the blob is durable and counts as put now; when it fails nothing new of
	// it is to be seen. Storing the same bytes again leaves one blob, young
	// again, and heals one that was changed.
	Put(ctx context.Context, r io.Reader) (unit.Digest, unit.Bytes, error)

	// Open reads a blob; *AbsentError if it is not here. The bytes are hashed
	// as they pass: a changed blob ends with *CorruptError instead of io.EOF,
	// so a reader that stops at io.EOF has read what was stored.
	Open(ctx context.Context, d unit.Digest) (io.ReadCloser, error)

	// Size returns the size of a blob, or *AbsentError.
	Size(ctx context.Context, d unit.Digest) (unit.Bytes, error)

	// Stored returns when the blob was last put, or *AbsentError.
	Stored(ctx context.Context, d unit.Digest) (unit.Instant, error)

	// Renew makes a blob count as put now, as if its bytes had been put again;
	// *AbsentError if it is not here.
	Renew(ctx context.Context, d unit.Digest) error

	// Each yields every blob's name, in order, until the caller stops. Blobs
	// put or deleted meanwhile may be seen or not.
	Each(ctx context.Context) iter.Seq2[unit.Digest, error]

	// Delete removes a blob that was last put before the instant and says
	// whether it did; one that is younger or not here is no error. Against a
	// Put or Renew of the same blob it is atomic: either that comes first and
	// Delete leaves the young blob, or it finds the blob gone. Only Collect
	// calls it.
	Delete(ctx context.Context, d unit.Digest, before unit.Instant) (bool, error)
}

// AbsentError says that the store does not have an artifact.
type AbsentError struct{ Digest unit.Digest }

// Code names the refusal for programs.
func (e *AbsentError) Code() string { return "artifact.absent" }

func (e *AbsentError) Error() string { return fmt.Sprintf("artifact %s is not in the store", e.Digest) }

// CorruptError says that stored bytes are no longer what their name promises.
type CorruptError struct {
	Digest unit.Digest
	Found  unit.Digest // what the bytes hash to now
}

// Code names the fault for programs.
func (e *CorruptError) Code() string { return "artifact.corrupt" }

func (e *CorruptError) Error() string {
	return fmt.Sprintf("artifact %s was changed: its bytes hash to %s", e.Digest, e.Found)
}

// Hint says what to do next.
func (e *CorruptError) Hint() string {
	return "restore this file from a backup or from an allied centre; its name is its digest, so any honest copy will do"
}
