package centre

import (
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Command is an order to the centre: one of the types below.
type Command interface {
	// decide returns the events that follow, or a typed refusal.
	decide(d *decision) error
}

// Found begins a centre, with its first operator and that person's key.
type Found struct {
	Founded
	Policy  string      // Cedar text
	Details unit.Digest // of the first operator's sealed record
	Secret  unit.Digest // of the first operator's key
}

// AddOrganisation admits an organisation.
type AddOrganisation struct{ party.Organisation }

// AddPerson admits a person; Details binds the sealed record.
type AddPerson struct {
	Org     party.OrgID
	Details unit.Digest
	Roles   []party.Role
}

// ErasePerson makes a person's details unreadable for ever.
type ErasePerson struct{ Person party.PersonID }

// IssueKey makes a key for a person.
type IssueKey struct {
	Person party.PersonID
	Use    string
	Secret unit.Digest
	Until  unit.Instant
}

// RevokeKey ends a key.
type RevokeKey struct{ Key party.KeyID }

// PublishPolicy puts a policy text in force.
type PublishPolicy struct{ Text string }

// PublishProgramme publishes a programme.
type PublishProgramme struct{ programme.Programme }

// OpenCall opens a call of a programme.
type OpenCall struct {
	Programme programme.ID
	Name      string
	Budget    unit.Credits
	Opens     unit.Instant // zero: now
	Closes    unit.Instant
}

// Apply asks for credits from a call.
type Apply struct {
	Call    programme.CallID
	Org     party.OrgID
	Purpose string
	Credits unit.Credits
}

// DecideApplication is a person's decision on an application in review.
type DecideApplication struct {
	Application programme.ApplicationID
	Award       bool
	Reason      string
}

// RegisterDataset records a dataset whose files are in the store.
type RegisterDataset struct{ dataset.Dataset }

// ReportNode records a node as its engine sees it.
type ReportNode struct {
	ID fleet.NodeID
	fleet.Node
}

// RateChip says what a chip is worth.
type RateChip struct {
	Chip fleet.Chip
	Rate unit.Rate
	Why  string
}

// SubmitJob submits a job of a tenant's own.
type SubmitJob struct{ job.Spec }

// StopJob asks a job to end.
type StopJob struct {
	Job    job.ID
	Reason string
}

// PlaceJob gives a waiting job its devices. Decide checks it against the
// present: the plan may be older than that.
type PlaceJob struct {
	Job job.ID
	job.Placement
}

// StartJob records that the engine runs the attempt.
type StartJob struct {
	Job     job.ID
	Attempt int
	At      unit.Instant
}

// LoseJob records that the attempt was lost through no fault of the job.
type LoseJob struct {
	Job     job.ID
	Attempt int
	Reason  string
}

// FinishJob records an attempt's end. A stage's statement goes with it.
type FinishJob struct {
	Finished  job.Finished // Use and Charged are calculated here
	Statement *factory.Statement
}

// StartRun begins a factory run.
type StartRun struct {
	Grant      grant.ID
	Recipe     factory.Recipe
	Training   []dataset.ID
	Evaluation []dataset.ID
}

// SubmitStage submits the job of the stage that the run wants next. Also is
// what the job reads besides what earlier stages made.
type SubmitStage struct {
	Run   factory.ID
	Stage string
	Also  []job.Input
}

// ApproveRelease is one person's approval of a run that passed its gate.
type ApproveRelease struct{ Run factory.ID }

// RecordSignature records that the centre signed a model's release.
type RecordSignature struct{ model.WasSigned }

// FailRun ends a run that cannot go on.
type FailRun struct {
	Run    factory.ID
	Reason string
}

// OpenEndpoint serves a signed model under a name, paid by a grant.
type OpenEndpoint struct {
	Model model.ID
	Grant grant.ID
	Name  string // empty: the model's own
	factory.Resources
}

// ReportEndpoint records that an endpoint answers, or why it does not.
type ReportEndpoint struct {
	Endpoint model.EndpointID
	Ready    bool
	Reason   string
}

// CloseEndpoint ends an endpoint and stops its job.
type CloseEndpoint struct{ Endpoint model.EndpointID }

// MeterTokens records what was asked of an endpoint.
type MeterTokens struct{ model.Metered }
