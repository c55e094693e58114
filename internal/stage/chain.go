package stage

import (
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/passport"
)

// ChainFile is the file of the sign stage's input "chain": Chain as JSON.
const ChainFile = "chain.json"

// Chain is what only the centre knows of a run and a passport must say: who
// ran what where, over which data, decided and approved by whom, and the
// ledger's proofs of it. The centre writes it before the sign stage, which
// believes it; the passport's own checks then hold it against the ledger.
type Chain struct {
	Centre    passport.Issuer     `json:"centre"`
	Site      string              `json:"site"`
	Origin    string              `json:"origin"` // name of the ledger's key
	Version   string              `json:"version"`
	Run       factory.ID          `json:"run"`
	State     factory.Run         `json:"state"`
	Recipe    unit.Digest         `json:"recipe"`
	Model     string              `json:"model"`
	Stages    []ChainStage        `json:"stages"`
	Sources   []ChainSource       `json:"sources"`   // for training, in the order of the inputs
	Questions []ChainSource       `json:"questions"` // for evaluation
	Decided   unit.Instant        `json:"decided"`   // when the gate was
	Now       unit.Instant        `json:"now"`
	Entries   []passport.Entry    `json:"entries"`
	Revoked   passport.Revocation `json:"revoked"` // the list as it is now
}

// ChainStage is one stage that ended well.
type ChainStage struct {
	Kind    string         `json:"kind"`
	Job     job.ID         `json:"job"`
	Record  job.Job        `json:"record"`
	Devices []fleet.Device `json:"devices"`
	Country string         `json:"country"` // where its node stands
	Inputs  []ChainTree    `json:"inputs"`
	Outputs []ChainTree    `json:"outputs"`
}

// ChainTree is a tree with its listing.
type ChainTree struct {
	Name    string      `json:"name"`
	Tree    unit.Digest `json:"tree"`
	Listing string      `json:"listing"`
}

// ChainSource is a dataset with its owner.
type ChainSource struct {
	ID dataset.ID `json:"id"`
	dataset.Dataset
	Owner   string `json:"owner"`
	Country string `json:"country"` // of the owner
}
