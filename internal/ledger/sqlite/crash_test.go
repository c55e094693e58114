package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

// entryAt is the entry of the crash test with this index.
func entryAt(seq int64) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"pad":"%s"}`, seq, strings.Repeat("x", int(seq*31%300)))
}

// key is the signing key of all these tests.
func key() proof.SigningKey {
	k, err := proof.GenerateSigningKey(rand.NewChaCha8([32]byte{1}), ledgertest.Origin)
	if err != nil {
		panic(err)
	}
	return k
}

// crashChild appends, seals, erases and saves snapshots until it is killed. It
// prints a line only for what has been acknowledged to it.
func crashChild(ctx context.Context, dir, seedText string) error {
	seed, err := strconv.ParseUint(seedText, 10, 64)
	if err != nil {
		return err
	}
	chance := rand.New(rand.NewPCG(seed, 1))
	l, err := sqlite.Open(ctx, sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		return err
	}
	fmt.Println("open")
	head, err := l.Head(ctx)
	if err != nil {
		return err
	}
	for {
		subject := fmt.Sprintf("s%d", head.Size)
		if _, err := l.CreateSideKey(ctx, subject, []byte("key of "+subject)); err != nil {
			return err
		}
		batch := make([][]byte, 1+chance.IntN(1+chance.IntN(400)))
		for i := range batch {
			batch[i] = entryAt(head.Size + int64(i))
		}
		if head, err = l.Append(ctx, head.Size, batch, ledger.Side{Subject: subject, Name: "n", Record: []byte(subject)}); err != nil {
			return err
		}
		fmt.Println("head", head.Size, subject)
		switch chance.IntN(6) {
		case 0:
			if err := l.EraseSubject(ctx, subject); err != nil {
				return err
			}
			fmt.Println("erased", subject)
		case 1:
			data := fmt.Appendf(nil, "state after %d", head.Size)
			if err := l.SaveSnapshot(ctx, ledger.Snapshot{Size: head.Size, StateHash: unit.DigestOf(data), Data: data}); err != nil {
				return err
			}
			fmt.Println("snapshot", head.Size)
		}
	}
}

// acked is what the killed servers had acknowledged.
type acked struct {
	size, snapshot int64
	subjects       map[string]bool // true: erased
}

func (a *acked) read(t *testing.T, line string) {
	words := strings.Fields(line)
	number := func() int64 {
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			t.Fatalf("the server printed %q", line)
		}
		return n
	}
	switch {
	case line == "open":
	case len(words) == 3 && words[0] == "head":
		a.size = number()
		a.subjects[words[2]] = false
	case len(words) == 2 && words[0] == "erased":
		a.subjects[words[1]] = true
	case len(words) == 2 && words[0] == "snapshot":
		a.snapshot = number()
	default:
		t.Fatalf("the server printed %q", line)
	}
}

// TestKilled kills a server with SIGKILL at random moments, from its start on,
// again and again on one data folder: all that was acknowledged is there, the
// log verifies, and the next server starts. GAON_TEST_LONG=1 does it 400 times.
func TestKilled(t *testing.T) {
	rounds, perFolder := 20, 20
	if os.Getenv("GAON_TEST_LONG") == "1" {
		rounds, perFolder = 400, 40
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	var dir string
	var a acked
	entries := int64(0)
	for round := range rounds {
		if round%perFolder == 0 {
			dir, a = t.TempDir(), acked{subjects: map[string]bool{}}
		}
		before := a.size
		killRound(t, dir, chance, &a)
		a.mustHold(t, dir)
		entries += a.size - before
	}
	t.Logf("%d servers killed, %d entries appended", rounds, entries)
}

// killRound runs one server until a random moment.
func killRound(t *testing.T, dir string, chance *rand.Rand, a *acked) {
	t.Helper()
	c := child(t, "crash", dir, chance.Uint64())
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	acks := chance.IntN(40) // lines to wait for; 0: it may die while it opens
	delay := time.Duration(chance.IntN(8000)) * time.Microsecond
	killed := make(chan error, 1)
	kill := func() {
		time.Sleep(delay)
		killed <- c.Process.Kill()
	}
	if acks == 0 {
		go kill()
	}
	lines := bufio.NewReader(out)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line without its end was not acknowledged
		}
		a.read(t, strings.TrimSuffix(line, "\n"))
		if n == acks {
			go kill()
		}
	}
	if err := <-killed; err != nil {
		t.Fatalf("kill: %v", err)
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the server ended with %v, it was to be killed", err)
	}
}

// mustHold opens the folder as the next server does and looks for everything.
func (a *acked) mustHold(t *testing.T, dir string) {
	t.Helper()
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		t.Fatalf("after %d entries: %v", a.size, err)
	}
	defer l.Close()
	seen := int64(0)
	report, err := proof.VerifyLedger(t.Context(), l, proof.Options{
		Keys: []proof.VerifierKey{key().Verifier()},
		Each: func(seq int64, data []byte) error {
			if seen++; !bytes.Equal(data, entryAt(seq)) {
				return fmt.Errorf("entry %d is %q", seq, data)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != report.Checkpoint.Size || seen < a.size {
		t.Fatalf("%d entries, %d were acknowledged", seen, a.size)
	}
	a.size = seen
	for subject, erased := range a.subjects {
		record, err := l.SideRecord(t.Context(), subject, "n")
		secret, keyErr := l.SideKey(t.Context(), subject)
		switch {
		case errors.Is(err, ledger.ErrErased) && errors.Is(keyErr, ledger.ErrErased):
			// An erasure may be durable before it is acknowledged.
			a.subjects[subject] = true
		case err != nil || keyErr != nil || erased || string(record) != subject || string(secret) != "key of "+subject:
			t.Fatalf("%s (erased: %v) holds %q, %v under %q, %v", subject, erased, record, err, secret, keyErr)
		}
	}
	if a.snapshot == 0 {
		return
	}
	s, err := l.LatestSnapshot(t.Context())
	if err != nil || s.Size < a.snapshot || string(s.Data) != fmt.Sprintf("state after %d", s.Size) {
		t.Fatalf("snapshot of %d entries, %v; one of %d was acknowledged", s.Size, err, a.snapshot)
	}
}
