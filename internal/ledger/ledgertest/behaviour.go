package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

// tiles compares every file of the log with the reference at sizes around the
// tile boundaries of levels 0, 1 and 2.
func tiles(s *store) {
	for _, size := range []int{1, 2, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 65793} {
		for len(s.want) < size {
			s.append(min(size-len(s.want), ledger.BatchEntriesMax))
		}
		s.mustServe()
	}
	s.reopen(nil)
	s.mustServe()
	for _, path := range []string{
		"tile/0/000.p/0", "tile/0/0", "tile/0/x000/000", "tile/1/002", "tile/9/000", "tile/8/0/000",
		"tile/data/000", "tile/entries/x001/000", "tile/-1/000", "tile", "", "../ledger.db", "tile/0/257.p/2", "tile/0/257",
	} {
		_, err := s.l.ReadFile(s.ctx, path)
		s.mustFail(err, fs.ErrNotExist)
	}
}

// mustServe checks all tiles and bundles of the present size. Below the right
// edge it looks at a few only.
func (s *store) mustServe() {
	s.Helper()
	size := int64(len(s.want))
	for _, t := range tlog.NewTiles(proof.TileHeight, 0, size) {
		if (t.N+1)*proof.TileWidth < size>>(proof.TileHeight*t.L)-3*proof.TileWidth && t.N%37 != 0 {
			continue
		}
		widths := []int{t.W, 1, (t.W + 1) / 2}
		for _, t.W = range widths {
			want, err := tlog.ReadTileData(t, s.reference())
			if err != nil {
				s.Fatal(err)
			}
			got, err := s.l.ReadFile(s.ctx, proof.TilePath(t))
			if err != nil || !bytes.Equal(got, want) {
				s.Fatalf("at size %d: %s is not the reference's: %v", size, proof.TilePath(t), err)
			}
			if t.L > 0 {
				continue
			}
			bundle := tlog.Tile{H: t.H, L: proof.EntriesLevel, N: t.N, W: t.W}
			if got, err = s.l.ReadFile(s.ctx, proof.TilePath(bundle)); err != nil {
				s.Fatal(err)
			}
			entries, err := proof.ParseBundle(got, t.W)
			first := t.N * proof.TileWidth
			if err != nil || !slices.EqualFunc(entries, s.want[first:first+int64(t.W)], bytes.Equal) {
				s.Fatalf("at size %d: %s holds other entries: %v", size, proof.TilePath(bundle), err)
			}
		}
	}
	for seq := size - 1; seq >= 0; seq -= 1 + size/5 {
		head, err := s.l.Head(s.ctx)
		if err != nil {
			s.Fatal(err)
		}
		c := proof.Checkpoint{Origin: Origin, Size: head.Size, Root: head.Root}
		if _, err := tlog.ProveRecord(size, seq, proof.HashReader(s.ctx, s.l, c)); err != nil {
			s.Fatalf("prove entry %d of %d: %v", seq, size, err)
		}
	}
}

func durable(s *store) {
	for range 12 {
		s.append(1 + len(s.want)%130)
		s.reopen(nil)
		s.mustHold()
	}
}

var errInjected = errors.New("injected")

// failAt fails the given step, once.
func failAt(step ledger.Step) ledger.Fault {
	failed := false
	return func(at ledger.Step) error {
		if at == step && !failed {
			failed = true
			return fmt.Errorf("%w at %s", errInjected, at)
		}
		return nil
	}
}

func failedAndAbsent(s *store) {
	for _, step := range ledger.Steps() {
		if step == ledger.StepCommitted {
			continue
		}
		s.append(200)
		s.reopen(failAt(step))
		_, err := s.l.Append(s.ctx, int64(len(s.want)), s.batch(100), ledger.Side{Subject: "s", Name: string(step), Record: []byte("r")})
		s.mustFail(err, errInjected)
		if errors.Is(err, ledger.ErrFatal) {
			s.Fatalf("%s: %v is fatal, yet nothing was committed", step, err)
		}
		s.mustHold()
		_, err = s.l.SideRecord(s.ctx, "s", string(step))
		s.mustFail(err, ledger.ErrNotFound)
		// The ledger goes on, and what it writes now is whole.
		s.append(100)
		s.mustHold()
		s.reopen(nil)
		s.mustHold()
	}
}

func failedYetPresent(s *store) {
	s.append(200)
	s.reopen(failAt(ledger.StepCommitted))
	batch := s.batch(100)
	_, err := s.l.Append(s.ctx, int64(len(s.want)), batch, ledger.Side{Subject: "s", Name: "n", Record: []byte("r")})
	s.mustFail(err, errInjected)
	s.mustFail(err, ledger.ErrFatal)
	// Nobody may go on guessing.
	_, err = s.l.Append(s.ctx, int64(len(s.want)), batch)
	s.mustFail(err, ledger.ErrFatal)
	_, err = s.l.Append(s.ctx, int64(len(s.want))+100, batch)
	s.mustFail(err, ledger.ErrFatal)
	_, err = s.l.CreateSideKey(s.ctx, "t", []byte("key"))
	s.mustFail(err, ledger.ErrFatal)
	s.mustFail(s.l.EraseSubject(s.ctx, "t"), ledger.ErrFatal)
	s.reopen(nil)
	s.accept(batch)
	s.mustHold()
	if record, err := s.l.SideRecord(s.ctx, "s", "n"); err != nil || string(record) != "r" {
		s.Fatalf("side record is %q, %v", record, err)
	}
	s.append(10)
	s.mustHold()
}

// concurrent reads while batches are appended: every head a reader sees must
// verify from the files it sees after it.
func concurrent(s *store) {
	const readers, batches = 4, 60
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	var wg sync.WaitGroup
	errs := make(chan error, readers)
	for range readers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := s.readPrefix(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for i := range batches {
		s.append(1 + i*7%90)
	}
	stop()
	wg.Wait()
	close(errs)
	for err := range errs {
		s.Fatal(err)
	}
	s.mustHold()
}

func (s *store) readPrefix() error {
	head, err := s.l.Head(s.ctx)
	if err != nil {
		return err
	}
	pinned := pinned{s.l, head}
	_, err = proof.VerifyLedger(s.ctx, pinned, proof.Options{Keys: []proof.VerifierKey{s.key.Verifier()}})
	return err
}

// pinned is a log that stops at a head while the ledger below it grows.
type pinned struct {
	proof.Source
	head ledger.Head
}

func (p pinned) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if path == proof.CheckpointPath {
		return p.head.Checkpoint, nil
	}
	return p.Source.ReadFile(ctx, path)
}

func vault(s *store) {
	_, err := s.l.SideKey(s.ctx, "anna")
	s.mustFail(err, ledger.ErrNotFound)
	for i, want := range []string{"key-1", "key-1"} { // the first one stands
		key, err := s.l.CreateSideKey(s.ctx, "anna", fmt.Appendf(nil, "key-%d", i+1))
		if err != nil || string(key) != want {
			s.Fatalf("key is %q, %v; want %q", key, err, want)
		}
	}
	if _, err := s.l.CreateSideKey(s.ctx, "anna", nil); err == nil {
		s.Fatal("an empty key was accepted")
	}
	if _, err := s.l.CreateSideKey(s.ctx, "berta", []byte("key-b")); err != nil {
		s.Fatal(err)
	}
	side := func(subject, name, record string) ledger.Side {
		return ledger.Side{Subject: subject, Name: name, Record: []byte(record)}
	}
	s.append(3, side("anna", "name", "a1"), side("anna", "mail", "a2"), side("berta", "name", "b1"))
	s.append(0, side("anna", "name", "a3")) // a record without an entry
	s.reopen(nil)
	for _, want := range []ledger.Side{side("anna", "name", "a3"), side("anna", "mail", "a2"), side("berta", "name", "b1")} {
		got, err := s.l.SideRecord(s.ctx, want.Subject, want.Name)
		if err != nil || !bytes.Equal(got, want.Record) {
			s.Fatalf("%s of %s is %q, %v; want %q", want.Name, want.Subject, got, err, want.Record)
		}
	}
	for range 2 { // erasing is idempotent
		for _, subject := range []string{"anna", "never-seen"} {
			if err := s.l.EraseSubject(s.ctx, subject); err != nil {
				s.Fatal(err)
			}
		}
		s.mustBeErased("anna")
		s.mustBeErased("never-seen")
		s.reopen(nil)
	}
	s.mustBeErased("anna")
	if got, err := s.l.SideRecord(s.ctx, "berta", "name"); err != nil || string(got) != "b1" {
		s.Fatalf("berta's record is %q, %v", got, err)
	}
	s.mustHold()
	s.append(300)
	s.mustHold()
}

func (s *store) mustBeErased(subject string) {
	s.Helper()
	_, err := s.l.SideKey(s.ctx, subject)
	s.mustFail(err, ledger.ErrErased)
	_, err = s.l.SideRecord(s.ctx, subject, "name")
	s.mustFail(err, ledger.ErrErased)
	_, err = s.l.CreateSideKey(s.ctx, subject, []byte("again"))
	s.mustFail(err, ledger.ErrErased)
	_, err = s.l.Append(s.ctx, int64(len(s.want)), s.batch(1), ledger.Side{Subject: subject, Name: "name", Record: []byte("x")})
	s.mustFail(err, ledger.ErrErased)
}

func sidesAtomic(s *store) {
	side := ledger.Side{Subject: "s", Name: "n", Record: []byte("r")}
	_, err := s.l.Append(s.ctx, 7, [][]byte{[]byte("late")}, side)
	var refusal *ledger.StaleError
	if !errors.As(err, &refusal) {
		s.Fatal(err)
	}
	_, err = s.l.Append(s.ctx, 7, nil, side)
	if !errors.As(err, &refusal) {
		s.Fatal(err)
	}
	_, err = s.l.SideRecord(s.ctx, "s", "n")
	s.mustFail(err, ledger.ErrNotFound)
	s.mustHold()
}

func snapshots(s *store) {
	_, err := s.l.LatestSnapshot(s.ctx)
	s.mustFail(err, ledger.ErrNotFound)
	s.append(300)
	at := func(size int64) ledger.Snapshot {
		data := fmt.Appendf(nil, "state after %d", size)
		return ledger.Snapshot{Size: size, StateHash: unit.DigestOf(data), Data: data}
	}
	for _, size := range []int64{10, 299, 0, 300} {
		if err := s.l.SaveSnapshot(s.ctx, at(size)); err != nil {
			s.Fatal(err)
		}
	}
	bad := at(5)
	bad.StateHash = "sha256:00"
	for _, b := range []ledger.Snapshot{bad, at(301), at(-1)} {
		if err := s.l.SaveSnapshot(s.ctx, b); err == nil {
			s.Fatalf("a snapshot of %d entries with hash %s was accepted", b.Size, b.StateHash)
		}
	}
	s.append(1)
	for range 2 {
		got, err := s.l.LatestSnapshot(s.ctx)
		want := at(300)
		if err != nil || got.Size != want.Size || got.StateHash != want.StateHash || !bytes.Equal(got.Data, want.Data) {
			s.Fatalf("snapshot is %+v, %v; want %+v", got, err, want)
		}
		s.reopen(nil)
	}
	if err := s.l.SaveSnapshot(s.ctx, at(301)); err != nil {
		s.Fatal(err)
	}
	if got, err := s.l.LatestSnapshot(s.ctx); err != nil || got.Size != 301 {
		s.Fatalf("snapshot is of %d entries, %v; want 301", got.Size, err)
	}
}

func closed(s *store) {
	s.append(3)
	s.close()
	_, err := s.l.Append(s.ctx, 3, [][]byte{[]byte("x")})
	s.mustFail(err, ledger.ErrClosed)
	_, err = s.l.Head(s.ctx)
	s.mustFail(err, ledger.ErrClosed)
	_, err = s.l.Read(s.ctx, 0, 1)
	s.mustFail(err, ledger.ErrClosed)
	_, err = s.l.ReadFile(s.ctx, proof.CheckpointPath)
	s.mustFail(err, ledger.ErrClosed)
	_, err = s.l.SideKey(s.ctx, "s")
	s.mustFail(err, ledger.ErrClosed)
	s.mustFail(s.l.EraseSubject(s.ctx, "s"), ledger.ErrClosed)
	s.mustFail(s.l.SaveSnapshot(s.ctx, ledger.Snapshot{}), ledger.ErrClosed)
	_, err = s.l.LatestSnapshot(s.ctx)
	s.mustFail(err, ledger.ErrClosed)
	s.open(nil)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, err = s.l.Append(ctx, 3, [][]byte{[]byte("x")})
	s.mustFail(err, context.Canceled)
	s.mustHold()
}
