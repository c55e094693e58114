package portal

import (
	"context"
	"encoding/base64"

	"github.com/gaon-ai/gaon/proof"
)

// ledgerHead is what the ledger has promised; zero if it cannot be read now.
type ledgerHead struct {
	Size   int64
	Root   string // base64, as in the signed checkpoint
	Origin string // name of the key that signed it
}

// Head is the ledger's head, for every page.
func (v *visit) Head() ledgerHead {
	p := v.portal
	return p.heads.get("", stamp{v.State.Seq, int64(v.Now) / 1000}, func(old ledgerHead) ledgerHead {
		ctx, stop := context.WithTimeout(context.Background(), engineTimeout)
		defer stop()
		head, err := p.Ledger.Head(ctx)
		if err != nil {
			p.Log.Error("ledger head not readable", "err", err)
			return old
		}
		key, err := proof.ParseVerifierKey(v.State.Identity.LedgerKey)
		if err != nil {
			p.Log.Error("ledger key not readable", "err", err)
		}
		return ledgerHead{Size: head.Size, Root: base64.StdEncoding.EncodeToString(head.Root[:]), Origin: key.Name()}
	})
}
