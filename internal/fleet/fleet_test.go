package fleet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

func node() Node {
	return Node{Engine: "local", Country: "KR", Memory: 1 << 30, Devices: []Device{{"cpu0", CPUSlot}, {"cpu1", CPUSlot}, {"gpu0", "nvidia-h200"}},
		Enforce: Enforcement{Network: true, Remarks: []string{"no cgroups"}}}
}

func TestReport(t *testing.T) {
	for _, row := range []struct {
		name, field string
		id          NodeID
		given       func(n *Node)
	}{
		{"as it should be", "", "local/a", func(*Node) {}},
		{"without devices", "", "local/a", func(n *Node) { n.Devices = nil }},
		{"no name", "node", "", func(*Node) {}},
		{"no country", "country", "local/a", func(n *Node) { n.Country = "" }},
		{"memory below nothing", "memory", "local/a", func(n *Node) { n.Memory = -1 }},
		{"a device without a name", "devices[1]", "local/a", func(n *Node) { n.Devices[1].ID = "" }},
		{"a device without a chip", "devices[0]", "local/a", func(n *Node) { n.Devices[0].Chip = "" }},
		{"two devices of one name", "devices[1]", "local/a", func(n *Node) { n.Devices[1].ID = "cpu0" }},
		{"too many devices", "devices", "local/a", func(n *Node) { n.Devices = make([]Device, devicesMax+1) }},
	} {
		n := node()
		row.given(&n)
		_, changes, err := new(Book).Report(row.id, n)
		if row.field == "" && (err != nil || !changes) || row.field != "" && (err == nil || !strings.HasPrefix(err.Error(), row.field+": ")) {
			t.Errorf("%s: %v, %v; want %q", row.name, changes, err, row.field)
		}
	}
}

// TestOnlyChangesAreReported: what is so already makes no entry, and whatever
// differs does.
func TestOnlyChangesAreReported(t *testing.T) {
	b := new(Book)
	e, _, err := b.Report("local/a", node())
	if err != nil {
		t.Fatal(err)
	}
	b.ApplyNodeReported(e)
	for i, change := range []func(n *Node){
		func(n *Node) { n.Engine = "slurm" }, func(n *Node) { n.Country = "US" }, func(n *Node) { n.Memory++ }, func(n *Node) { n.Away = true },
		func(n *Node) { n.Devices = n.Devices[:2] }, func(n *Node) { n.Devices[0].ID = "cpu9" }, func(n *Node) { n.Devices[2].Chip = "nvidia-h100" },
		func(n *Node) { n.Enforce.Network = false }, func(n *Node) { n.Enforce.Inputs = true }, func(n *Node) { n.Enforce.Memory = true },
		func(n *Node) { n.Enforce.CPU = true }, func(n *Node) { n.Enforce.Remarks = nil },
	} {
		n := node()
		change(&n)
		if _, changes, err := b.Report("local/a", n); !changes || err != nil {
			t.Errorf("change %d is not seen: %v", i, err)
		}
	}
	if _, changes, err := b.Report("local/a", node()); changes || err != nil {
		t.Errorf("no change is one: %v, %v", changes, err)
	}
}

func TestRatesAndCounts(t *testing.T) {
	b := new(Book)
	for i, away := range []bool{false, false, true} {
		n := node()
		n.Away = away
		e, _, err := b.Report(NodeID(fmt.Sprint("local/", i)), n)
		if err != nil {
			t.Fatal(err)
		}
		b.ApplyNodeReported(e)
	}
	if got := fmt.Sprint(b.Count(CPUSlot), b.Count("nvidia-h200"), b.Count("none")); got != "4 2 0" {
		t.Errorf("counts %s", got)
	}
	if b.Rate(CPUSlot) != unit.RateReference {
		t.Error("an unrated chip is given away")
	}
	for rate, ok := range map[unit.Rate]bool{-1: false, 0: false, 1: true, 1000 * unit.RateReference: true, 1000*unit.RateReference + 1: false} {
		e, err := b.RateChip(CPUSlot, rate, "measured")
		if (err == nil) != ok {
			t.Errorf("rate %d: %v", rate, err)
		}
		if err == nil {
			b.ApplyChipRated(e)
			if b.Rate(CPUSlot) != rate {
				t.Errorf("rated %d, is %d", rate, b.Rate(CPUSlot))
			}
		}
	}
	if _, err := b.RateChip("", 1, ""); err == nil {
		t.Error("a chip without a name was rated")
	}
}
