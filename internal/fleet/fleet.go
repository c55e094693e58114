// Package fleet is what a centre computes with: its site, nodes and devices,
// what each kind of chip is worth, and what each node can enforce.
//
// It does not know what runs where; jobs do.
//
// Begin with Book.Report, which takes a node as its engine sees it.
package fleet

import (
	"fmt"
	"slices"

	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// NodeID names a node: engine, slash, the engine's own name for it.
type NodeID string

// Chip is a kind of device: "cpu-slot", "nvidia-h200", "rebellions-atom".
type Chip string

// CPUSlot is one core's worth of processor, the one chip every machine has.
const CPUSlot Chip = "cpu-slot"

// Device is one accelerator or CPU slot on a node.
type Device struct {
	ID   string `json:"id"` // unique within its node: "cpu0", "gpu3"
	Chip Chip   `json:"chip"`
}

// Node is one machine as its engine last reported it.
type Node struct {
	Engine  string      `json:"engine"`
	Country string      `json:"country"`
	Devices []Device    `json:"devices"`
	Memory  unit.Bytes  `json:"memory"`
	Away    bool        `json:"away,omitempty"` // the engine no longer sees it
	Enforce Enforcement `json:"enforce"`
}

// Enforcement is what the node can hold work to; policy may refuse a job that
// needs more.
type Enforcement struct {
	Network bool     `json:"network"` // can keep work off the network
	Inputs  bool     `json:"inputs"`  // inputs read-only, other people's files hidden
	Memory  bool     `json:"memory"`
	CPU     bool     `json:"cpu"`
	Remarks []string `json:"remarks,omitempty"` // plain sentences on what it cannot
}

// Book is the state.
type Book struct {
	Nodes table.Table[NodeID, Node]    `json:"nodes"`
	Rates table.Table[Chip, unit.Rate] `json:"rates"`
}

// NodeReported records a node that is new or has changed.
// Wire name fleet.node-reported/1.
type NodeReported struct {
	ID NodeID `json:"id"`
	Node
}

// ChipRated says what a chip is worth beside the reference chip.
// Wire name fleet.chip-rated/1.
type ChipRated struct {
	Chip Chip      `json:"chip"`
	Rate unit.Rate `json:"rate"`
	Why  string    `json:"why"`
}

// devicesMax bounds the devices of one node so that its report fits one entry.
const devicesMax = 512

// Report asks to record a node; it answers false when nothing has changed.
func (b *Book) Report(id NodeID, node Node) (NodeReported, bool, error) {
	if err := party.CheckName("node", string(id)); err != nil {
		return NodeReported{}, false, err
	}
	if err := party.CheckCountry("country", node.Country); err != nil {
		return NodeReported{}, false, err
	}
	if node.Memory < 0 {
		return NodeReported{}, false, &party.FieldError{Field: "memory", Problem: "must not be negative"}
	}
	if len(node.Devices) > devicesMax {
		return NodeReported{}, false, &party.FieldError{Field: "devices", Problem: fmt.Sprintf("%d of them, at most %d on one node", len(node.Devices), devicesMax)}
	}
	seen := map[string]bool{}
	for i, device := range node.Devices {
		if device.ID == "" || device.Chip == "" || seen[device.ID] {
			return NodeReported{}, false, &party.FieldError{Field: fmt.Sprintf("devices[%d]", i), Problem: "needs an id of its own and a chip"}
		}
		seen[device.ID] = true
	}
	old, known := b.Nodes.Get(id)
	return NodeReported{id, node}, !known || !old.equal(node), nil
}

func (n Node) equal(other Node) bool {
	return n.Engine == other.Engine && n.Country == other.Country && n.Memory == other.Memory && n.Away == other.Away &&
		slices.Equal(n.Devices, other.Devices) &&
		n.Enforce.Network == other.Enforce.Network && n.Enforce.Inputs == other.Enforce.Inputs &&
		n.Enforce.Memory == other.Enforce.Memory && n.Enforce.CPU == other.Enforce.CPU &&
		slices.Equal(n.Enforce.Remarks, other.Enforce.Remarks)
}

// RateChip asks to set what a chip is worth.
func (b *Book) RateChip(chip Chip, rate unit.Rate, why string) (ChipRated, error) {
	if err := party.CheckName("chip", string(chip)); err != nil {
		return ChipRated{}, err
	}
	if rate <= 0 || rate > 1000*unit.RateReference {
		return ChipRated{}, &party.FieldError{Field: "rate", Problem: "must be above zero and at most a thousand reference chips"}
	}
	return ChipRated{chip, rate, why}, nil
}

// Rate returns what the chip is worth; an unrated chip counts as the
// reference chip, so forgetting to rate one never gives it away.
func (b *Book) Rate(chip Chip) unit.Rate {
	if rate, ok := b.Rates.Get(chip); ok {
		return rate
	}
	return unit.RateReference
}

// Count returns how many devices of the chip the present nodes have.
func (b *Book) Count(chip Chip) int {
	n := 0
	for _, node := range b.Nodes.All() {
		for _, device := range node.Devices {
			if device.Chip == chip && !node.Away {
				n++
			}
		}
	}
	return n
}

// ApplyNodeReported records the node.
func (b *Book) ApplyNodeReported(e NodeReported) { b.Nodes.Put(e.ID, e.Node) }

// ApplyChipRated records the rate.
func (b *Book) ApplyChipRated(e ChipRated) { b.Rates.Put(e.Chip, e.Rate) }

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book { return Book{b.Nodes.Copy(), b.Rates.Copy()} }
