package host

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// NewSecret makes a secret that cannot be guessed: 256 bits.
func NewSecret() string {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails, by its documentation
	return "gaon_" + base64.RawURLEncoding.EncodeToString(raw)
}

// found gives the local user a key and, in a new centre, founds it with that
// user as the first operator.
func (h *Host) found(ctx context.Context) error {
	access, err := ReadAccess(h.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	access.Address = h.URL()
	if access.Key == "" {
		access.Key = NewSecret()
	}
	// The key is on disk before the ledger knows its digest: if we stop here,
	// the next start founds the centre with the same key.
	if err := writeAccess(h.Dir, access); err != nil {
		return err
	}
	h.Access = access
	if h.Writer.State().Seq > 0 {
		return h.mendAccess(ctx)
	}
	details, err := json.Marshal(api.Details{Name: "local operator"})
	if err != nil {
		return err
	}
	bound, record, err := h.Seal.Close(details)
	if err != nil {
		return err
	}
	modelKey, err := h.keys.modelPublic()
	if err != nil {
		return err
	}
	_, err = h.Writer.Do(ctx, writer.Order{By: centre.Founder, Key: "found", Command: centre.Found{
		Founded: centre.Founded{Name: h.Name, Country: h.Country, Site: h.Site,
			LedgerKey: h.keys.ledger.Verifier().String(), ModelKey: modelKey},
		Policy: policy.Default, Details: bound, Secret: unit.DigestOf([]byte(access.Key)),
	}, Side: []ledger.Side{record}})
	return err
}

// mendAccess issues the local user's key anew when the access file was lost:
// whoever holds the data folder holds the ledger's own key, and must not be
// locked out of the centre. A key that was revoked stays so.
func (h *Host) mendAccess(ctx context.Context) error {
	secret := unit.DigestOf([]byte(h.Access.Key))
	state := h.Writer.State()
	for _, key := range state.Party.Keys.All() {
		if key.Secret == secret {
			return nil
		}
	}
	for id, person := range state.Party.People.All() {
		if slices.Contains(person.RolesAt(Now()), party.Operator) {
			h.Log.Warn("the local user's key was lost; a new one is issued", "person", id)
			_, err := h.Writer.Do(ctx, writer.Order{By: string(id), Command: centre.IssueKey{Person: id, Use: party.ForAPI, Secret: secret}})
			return err
		}
	}
	h.Log.Warn("the local user's key was lost and no operator is left to issue a new one")
	return nil
}

// person is who the local user's key speaks for.
func (h *Host) person() party.PersonID {
	_, key, _ := h.Writer.State().Party.ByKey(unit.DigestOf([]byte(h.Access.Key)), Now())
	return key.Person
}
