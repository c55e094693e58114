// Package passport is a model's passport: one document, signed together with
// the model's files, that says what the model was made of, how, by whom, how
// good it is, who let it go, and where the ledger proves all that; and the
// check of every one of these claims that needs no network and no trust in the
// centre that made them.
//
// It does not train, sign or keep anything, and it is no legal advice: the
// views it derives (bills of materials, summaries, notices) restate the
// document in the forms that others ask for.
//
// Begin with Verify, which checks a model's folder, and HTML or Text, which
// show the result. A centre fills in a Passport, calls Write, signs the folder
// with package modelsign and, once the ledger holds the release, puts its
// proof beside it with WriteProof.
package passport

import "github.com/gaon-ai/gaon/internal/unit"

// Names of the files in a model's folder.
const (
	File       = "passport.json"  // this document; covered by the signature
	ProofFile  = "passport.proof" // the ledger's proof of the release; made after signing, so outside
	ViewFolder = "passport"       // the views derived from the document; covered by the signature
)

// Format is the value of the field format; another form gets another number.
const Format = "gaon.passport/1"

// Passport is the document. Every list may be empty but none may be missing;
// every digest is "sha256:" and hex; every instant is milliseconds since 1970
// in UTC; every decimal is a string with at most six places.
type Passport struct {
	Format       string       `json:"format"`
	Model        Model        `json:"model"`
	Issuer       Issuer       `json:"issuer"`
	Issued       unit.Instant `json:"issued"`
	Files        []ModelFile  `json:"files"`        // 1: what the model consists of
	Stages       []Stage      `json:"stages"`       // 2: how each part was made
	Data         Data         `json:"data"`         // 3: what it was made of
	Training     Training     `json:"training"`     // 4: what the training was
	Independence Independence `json:"independence"` // 5: what of it came from abroad
	Evaluation   Evaluation   `json:"evaluation"`   // 6: how good it is
	Gate         Gate         `json:"gate"`         // and what it had to reach
	Views        []View       `json:"views"`        // 7: the same in other forms
	Approvals    Approvals    `json:"approvals"`    // 8: who let it go
	Ledger       Ledger       `json:"ledger"`       // 9: what proves the above
	Revocation   Revocation   `json:"revocation"`   // 10: where to ask whether it still holds
}

// Words are a sentence or more in both languages.
type Words struct {
	Ko string `json:"ko"`
	En string `json:"en"`
}

// In returns the text in the language: "ko" for Korean, anything else English.
func (t Words) In(lang string) string {
	if lang == "ko" {
		return t.Ko
	}
	return t.En
}

// Model names and describes the model.
type Model struct {
	Name            string      `json:"name"`
	Version         string      `json:"version"`
	Digest          unit.Digest `json:"digest"` // over Files: see FilesDigest
	Summary         Words       `json:"summary"`
	Uses            Words       `json:"uses"`   // what it is meant for
	Limits          Words       `json:"limits"` // what it is not fit for
	Architecture    string      `json:"architecture"`
	Parameters      int64       `json:"parameters"`
	Context         int64       `json:"context"`    // tokens
	Vocabulary      int64       `json:"vocabulary"` // tokens
	Languages       []string    `json:"languages"`  // ISO 639-1
	Licence         string      `json:"licence"`    // SPDX expression
	Class           string      `json:"class"`      // public, internal, confidential or national
	Residency       []string    `json:"residency"`  // countries it may be kept in; empty: anywhere
	Hyperparameters []Parameter `json:"hyperparameters"`
}

// Issuer is the centre that stands behind the document.
type Issuer struct {
	Name    string `json:"name"`
	Country string `json:"country"` // ISO 3166-1 alpha-2
	Address string `json:"address"` // where the centre answers, a URL
	Contact string `json:"contact"` // an office, never a person
}

// Roles of a model's files.
const (
	FileWeights       = "weights"
	FileTokenizer     = "tokenizer"
	FileConfiguration = "configuration"
	FileDocument      = "document"
)

// ModelFile is one file of the model.
type ModelFile struct {
	Path   string      `json:"path"`
	Role   string      `json:"role"`
	Digest unit.Digest `json:"digest"`
	Size   unit.Bytes  `json:"size"`
}

// Stages of a model's making, in their order.
const (
	StageCurate    = "curate"
	StageTokenizer = "tokenizer"
	StageTrain     = "train"
	StageEvaluate  = "evaluate"
)

// Entries of the ledger that belong to no stage.
const (
	EntryStart    = "start" // of the run; may be left out
	EntryGate     = "gate"
	EntryApproval = "approval"
	EntryRelease  = "release"
)

// Stage is the provenance of what one stage made (SLSA v1.0, Provenance).
type Stage struct {
	Kind       string       `json:"kind"`
	Run        string       `json:"run"` // the factory run
	Job        string       `json:"job"`
	Builder    string       `json:"builder"` // URI of the engine that ran it
	Tools      []Tool       `json:"tools"`   // programs that did the work
	Recipe     Material     `json:"recipe"`
	Parameters []Parameter  `json:"parameters"`
	Inputs     []Material   `json:"inputs"`
	Outputs    []Material   `json:"outputs"`
	Started    unit.Instant `json:"started"`
	Finished   unit.Instant `json:"finished"`
}

// Tool is a program that took part.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Origin  string `json:"origin"` // country of its maker, ZZ for many, none or not known
	Licence string `json:"licence"`
}

// Parameter is one setting.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Roles of materials.
const (
	RoleSource        = "source" // documents as they came
	RoleCorpus        = "corpus"
	RoleTokenizer     = "tokenizer"
	RoleModel         = "model"
	RoleBase          = "base-model"
	RoleEvaluationSet = "evaluation-set"
	RoleOutputs       = "evaluation-outputs"
	RoleRecipe        = "recipe"
	RoleReport        = "report"
	RoleLog           = "log"
)

// Material is something a stage read or wrote: a file, or a tree of files.
//
// The digest of a tree is that of its listing: the JSON document of the form
// "gaon.tree/1" that names its files, their digests and sizes (see Tree). That
// a file is part of the tree is believed only if the listing's bytes stand in
// Listing; Files repeats some or all of them for the eye.
type Material struct {
	Role    string         `json:"role"`
	Name    string         `json:"name"`
	Digest  unit.Digest    `json:"digest"`
	Address string         `json:"address,omitempty"`
	Origin  string         `json:"origin,omitempty"`  // of a base model: country
	Licence string         `json:"licence,omitempty"` // of a base model
	Files   []MaterialFile `json:"files,omitempty"`
	Listing string         `json:"listing,omitempty"`
}

// MaterialFile is one file of a tree.
type MaterialFile struct {
	Path   string      `json:"path"`
	Digest unit.Digest `json:"digest"`
}

// Kinds of sources, after the European Commission's template for the summary
// of training content.
const (
	KindPublic    = "public-dataset"
	KindLicensed  = "licensed"
	KindPrivate   = "private"
	KindCrawled   = "crawled"
	KindUser      = "user-data"
	KindSynthetic = "synthetic"
	KindOther     = "other"
)

// Data says what the model learned from.
type Data struct {
	Sources         []Source        `json:"sources"`
	Corpus          Corpus          `json:"corpus"`
	Removed         []Removal       `json:"removed"` // in the order of the filters
	PersonalData    PersonalData    `json:"personal_data"`
	Duplicates      Duplicates      `json:"duplicates"`
	Decontamination Decontamination `json:"decontamination"`
	RightsReserved  Words           `json:"rights_reserved"` // how reservations of rights were honoured
	IllegalContent  Words           `json:"illegal_content"` // how illegal content was kept out
	Report          unit.Digest     `json:"report"`          // of the curation report
}

// Source is one set of documents, with the right to use it.
type Source struct {
	Name          string       `json:"name"`
	Kind          string       `json:"kind"`
	Owner         string       `json:"owner"`
	Origin        string       `json:"origin"`  // country it comes from, ZZ for many or not known
	Licence       string       `json:"licence"` // SPDX expression
	Consent       string       `json:"consent"` // the ground it may be used on
	Class         string       `json:"class"`
	Residency     []string     `json:"residency"`
	Address       string       `json:"address"`
	Languages     []string     `json:"languages"`
	Collected     unit.Instant `json:"collected"` // latest document; 0: not known
	Digest        unit.Digest  `json:"digest"`
	Documents     int64        `json:"documents"`      // as they came
	DocumentsUsed int64        `json:"documents_used"` // left after curation
	TokensUsed    int64        `json:"tokens_used"`    // trained on; Unknown where only the sum was counted
}

// Corpus is what curation left.
type Corpus struct {
	Digest    unit.Digest `json:"digest"`
	Documents int64       `json:"documents"`
	HeldOut   int64       `json:"held_out"` // of these, kept for evaluation
	Size      unit.Bytes  `json:"size"`
	Tokens    int64       `json:"tokens"` // trained on, each counted once: those of the documents not held out
}

// Unknown stands for a count that nobody made. It is said rather than guessed.
const Unknown = -1

// Removal counts what one filter took out.
type Removal struct {
	Filter    string `json:"filter"`
	Version   string `json:"version"`
	Documents int64  `json:"documents"`
}

// PersonalData says what was found of it and what was done.
type PersonalData struct {
	Method  string  `json:"method"`
	Version string  `json:"version"`
	Action  string  `json:"action"` // replaced, dropped
	Found   []Count `json:"found"`
}

// Count is how many of a kind.
type Count struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// Duplicates says how they were found; how many were removed is in Removed.
type Duplicates struct {
	Method    string  `json:"method"`
	Threshold Decimal `json:"threshold"` // of similarity
	Exact     int64   `json:"exact"`
	Near      int64   `json:"near"`
}

// Decontamination says what of the evaluation sets was found in the corpus.
type Decontamination struct {
	Method  string     `json:"method"`
	Against []Material `json:"against"`
	Removed int64      `json:"removed"` // documents
	Rate    Decimal    `json:"rate"`    // of evaluation items still found afterwards
}

// Classes of energy figures, the most trustworthy first.
const (
	EnergyCounter   = "counter"   // read from a meter
	EnergySampled   = "sampled"   // power read now and then
	EnergyEstimated = "estimated" // from time and rated power
	EnergyUnknown   = "unknown"   // not measured, and no rated power to estimate from; the figure is 0
)

// Training is the record of the training stage.
type Training struct {
	Devices       []Device         `json:"devices"`
	Sites         []Site           `json:"sites"`
	Steps         int64            `json:"steps"`
	Tokens        int64            `json:"tokens"`      // seen, repetitions counted
	FLOP          string           `json:"flop"`        // cumulative, an integer of any length
	FLOPMethod    string           `json:"flop_method"` // how it was counted
	EnergyKWh     Decimal          `json:"energy_kwh"`
	EnergyClass   string           `json:"energy_class"`
	EnergyMethod  string           `json:"energy_method"`
	ChipSeconds   unit.ChipSeconds `json:"chip_seconds"`
	Seed          string           `json:"seed"`
	FinalLoss     Decimal          `json:"final_loss"` // nats per token
	LossLog       unit.Digest      `json:"loss_log"`
	Interruptions []Interruption   `json:"interruptions"`
}

// Device is a kind of device and how many there were.
type Device struct {
	Kind  string `json:"kind"` // cpu, gpu, npu
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Site  string `json:"site"`
}

// Site is where devices stood.
type Site struct {
	Name    string `json:"name"`
	Country string `json:"country"`
}

// Interruption is one stop of the training and how it went on.
type Interruption struct {
	At         unit.Instant `json:"at"`
	Reason     string       `json:"reason"`
	Resumed    unit.Instant `json:"resumed"`
	Step       int64        `json:"step"`       // it went on from
	Checkpoint unit.Digest  `json:"checkpoint"` // it went on from; empty if from the start, step 0
}

// Independence says what came from elsewhere. It is derived from the stages
// and sources by DeriveIndependence; nobody fills it in.
type Independence struct {
	FromScratch  bool      `json:"from_scratch"` // no base weights
	BaseWeights  []Lineage `json:"base_weights"`
	ForeignData  []Lineage `json:"foreign_data"`
	ForeignTools []Lineage `json:"foreign_tools"`
}

// Lineage is one thing that came from elsewhere.
type Lineage struct {
	Name    string `json:"name"`
	Origin  string `json:"origin"`
	Licence string `json:"licence"`
}

// Evaluation is what was measured. All of it is bound to the model's digest.
type Evaluation struct {
	Subject unit.Digest `json:"subject"` // the model's digest
	Results []Result    `json:"results"`
}

// Result is one measured value; baselines stand beside the model's own as
// "baseline.byte_5gram".
type Result struct {
	Name    string      `json:"name"`
	Value   Decimal     `json:"value"`
	Better  string      `json:"better"` // lower or higher
	Set     string      `json:"set"`    // what it was measured on
	SetHash unit.Digest `json:"set_digest"`
	Samples int64       `json:"samples"`
	Seed    string      `json:"seed"`
	Outputs unit.Digest `json:"outputs"` // raw outputs
}

// Gate is what the model had to reach before anybody could let it go.
type Gate struct {
	Subject    unit.Digest  `json:"subject"`
	Decided    unit.Instant `json:"decided"`
	Conditions []Condition  `json:"conditions"`
	Passed     bool         `json:"passed"`
}

// Condition compares a result with another or with a number:
// "bits_per_byte < baseline.byte_5gram".
type Condition struct {
	Condition string  `json:"condition"`
	Value     Decimal `json:"value"`
	Limit     Decimal `json:"limit"`
	Holds     bool    `json:"holds"`
}

// View is a file derived from this document.
type View struct {
	Kind      string      `json:"kind"`
	Path      string      `json:"path"`
	MediaType string      `json:"media_type"`
	Digest    unit.Digest `json:"digest"`
}

// ApprovalsMin is how many different people must approve: four eyes.
const ApprovalsMin = 2

// Approvals are the people who let the model go.
type Approvals struct {
	Required int        `json:"required"`
	Given    []Approval `json:"given"`
}

// Approval is one person's, by pseudonym: the name is in the centre's sealed
// records, and can be erased there without touching this document.
type Approval struct {
	Role    string       `json:"role"`
	Person  string       `json:"person"`
	At      unit.Instant `json:"at"`
	Subject unit.Digest  `json:"subject"`
}

// Ledger proves the steps up to the signature. The release itself is recorded
// after signing; its proof is in ProofFile.
type Ledger struct {
	Origin  string  `json:"origin"` // name of the ledger's key
	Entries []Entry `json:"entries"`
}

// Entry is one entry of the ledger, its exact bytes, and the receipt that
// proves them (C2SP tlog-proof: inclusion proof and signed checkpoint).
type Entry struct {
	Of      string `json:"of"` // start, a stage, gate or approval
	Index   int64  `json:"index"`
	Entry   []byte `json:"entry"`
	Receipt string `json:"receipt"`
}

// Revocation says where to ask whether the model was withdrawn.
type Revocation struct {
	Address string      `json:"address"`
	Digest  unit.Digest `json:"digest"` // of the list when the document was made
}
