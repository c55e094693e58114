package api

import (
	"context"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/receipt"
)

// Entry is one ledger entry with the proof that it is in the ledger.
type Entry struct {
	Entry   int64  `json:"entry"`
	Data    []byte `json:"data" doc:"the entry's exact bytes"`
	Receipt string `json:"receipt" doc:"C2SP tlog-proof"`
}

// ledgerRoutes serve the log to anybody, and receipts to whom they concern.
func (s *Server) ledgerRoutes(mux *http.ServeMux) {
	mux.Handle("GET /log/", http.StripPrefix("/log", ledger.Handler(s.Ledger)))
	type one struct {
		Entry int64 `path:"entry" minimum:"0"`
	}
	type output struct{ Body Entry }
	huma.Register(s.api, huma.Operation{OperationID: "prove-entry", Method: http.MethodGet, Path: Prefix + "/entries/{entry}",
		Summary: "One ledger entry and its proof"},
		func(ctx context.Context, in *one) (*output, error) {
			proven, err := Prove(ctx, s.Ledger, in.Entry)
			return &output{Entry(proven)}, s.orProblem(err)
		})
	type byGrant struct {
		ID string `path:"id"`
	}
	huma.Register(s.api, huma.Operation{OperationID: "write-receipt", Method: http.MethodGet, Path: Prefix + "/grants/{id}/receipt",
		Summary: "The receipt of a grant, each line with its proof"},
		func(ctx context.Context, in *byGrant) (*huma.StreamResponse, error) {
			state := s.Writer.State()
			g, ok := state.Grants.Grants.Get(grant.ID(in.ID))
			if !ok || !s.readable(ctx, state)("Grant", in.ID, g.Org) {
				return nil, s.problem(unknown("grant", in.ID))
			}
			document, err := s.receipts.Of(ctx, s.Ledger, in.ID)
			if err != nil {
				return nil, s.problem(err)
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", "application/json")
				if _, err := hc.BodyWriter().Write(document); err != nil {
					s.Log.Debug("answer not sent", "err", err)
				}
			}}, nil
		})
}

// Prove returns an entry's bytes with a proof against the present head.
func Prove(ctx context.Context, l ledger.Ledger, seq int64) (receipt.Proof, error) {
	head, err := l.Head(ctx)
	if err != nil {
		return receipt.Proof{}, err
	}
	if seq >= head.Size {
		return receipt.Proof{}, &party.UnknownError{Kind: "entry", ID: "of that number"}
	}
	entries, err := l.Read(ctx, seq, 1)
	if err != nil {
		return receipt.Proof{}, err
	}
	text, err := proof.MakeReceipt(ctx, l, head.Checkpoint, seq)
	if err != nil {
		return receipt.Proof{}, err
	}
	return receipt.Proof{Entry: seq, Data: entries[0].Data, Receipt: text}, nil
}

// Receipts writes receipts and remembers how far the ledger was read for each
// grant's, so that asking again reads only what is new. The zero value is
// ready; any number of goroutines may use it.
type Receipts struct {
	mu     sync.Mutex
	grants map[string]*scan // guarded by mu
}

type scan struct {
	reader  *receipt.Reader
	next    int64
	entries []int64
}

// scansMax bounds how many grants' places are remembered.
const (
	scansMax  = 256
	scanBatch = 1024
)

// Of writes the receipt of a grant as the ledger is now.
func (s *Receipts) Of(ctx context.Context, l ledger.Ledger, id string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grants == nil || len(s.grants) > scansMax {
		s.grants = map[string]*scan{}
	}
	at := s.grants[id]
	if at == nil {
		at = &scan{reader: receipt.NewReader(id)}
	}
	delete(s.grants, id) // a scan that fails half-way is begun again
	for {
		batch, err := l.Read(ctx, at.next, scanBatch)
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			break
		}
		for _, e := range batch {
			belongs, err := at.reader.Read(e.Seq, e.Data)
			if err != nil {
				return nil, err
			}
			if belongs {
				at.entries = append(at.entries, e.Seq)
			}
			at.next = e.Seq + 1
		}
	}
	s.grants[id] = at
	proofs := make([]receipt.Proof, 0, len(at.entries))
	for _, seq := range at.entries {
		proven, err := Prove(ctx, l, seq)
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, proven)
	}
	return receipt.Make(id, proofs)
}
