// Package proof checks, offline and without trusting anybody's server, that a
// centre's ledger is whole and that a receipt's entry is in it.
//
// It reads the public formats of C2SP and adds none of its own: checkpoints
// (c2sp.org/tlog-checkpoint), tiles and entry bundles (c2sp.org/tlog-tiles)
// and receipts (c2sp.org/tlog-proof). It is not a ledger: it neither stores
// nor appends. What entries mean is not its business either; to it they are
// bytes.
//
// Begin with ParseVerifierKey and then VerifyLedger, over a Folder, a Web
// address or any other Source, or VerifyReceipt for a single entry:
//
//	key, err := proof.ParseVerifierKey("example.kr/centre+c74f20a3+AYEK…")
//	report, err := proof.VerifyLedger(ctx, proof.Folder(os.DirFS("log")), proof.Options{Keys: []proof.VerifierKey{key}})
package proof
