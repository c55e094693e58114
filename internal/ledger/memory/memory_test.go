package memory_test

import (
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/proof"
)

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(_ *testing.T, key proof.SigningKey) ledgertest.Opener {
		disk := memory.NewDisk()
		return func(fault ledger.Fault) (ledger.Ledger, error) {
			return memory.Open(disk, memory.Config{Key: key, Fault: fault})
		}
	})
}

func TestDiskHasOneOwner(t *testing.T) {
	disk, cfg := memory.NewDisk(), memory.Config{Key: ledgertest.Key(t)}
	if _, err := memory.Open(disk, cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := memory.Open(disk, cfg); err == nil {
		t.Fatal("the disk was opened twice")
	}
	if _, err := memory.Open(memory.NewDisk(), memory.Config{}); err == nil {
		t.Fatal("a ledger without a key was opened")
	}
}
