package sqlite_test

import (
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/proof"
)

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, key proof.SigningKey) ledgertest.Opener {
		dir := t.TempDir()
		return func(fault ledger.Fault) (ledger.Ledger, error) {
			return sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key, Fault: fault})
		}
	})
}
