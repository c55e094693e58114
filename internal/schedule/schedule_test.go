package schedule

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

const gib = unit.Bytes(1) << 30

// node has slots cpu0 … of which the first are held by the jobs named.
func node(id fleet.NodeID, slots int, memory unit.Bytes, holders ...job.ID) Node {
	n := Node{ID: id, Total: map[fleet.Chip]int{fleet.CPUSlot: slots}, Holders: map[fleet.Chip][]job.ID{}, Memory: memory, MemoryTotal: 16 * gib}
	for i := range slots {
		if i < len(holders) {
			n.Holders[fleet.CPUSlot] = append(n.Holders[fleet.CPUSlot], holders[i])
			continue
		}
		n.Free = append(n.Free, fleet.Device{ID: fmt.Sprint("cpu", i), Chip: fleet.CPUSlot})
	}
	return n
}

// want is a job that wants so many slots, allowed on nodes a and b.
func want(id job.ID, order int64, least, most int) Job {
	return Job{ID: id, Order: order, Chip: fleet.CPUSlot, CountMin: least, Count: most, Memory: gib, Allowed: []fleet.NodeID{"a", "b"}}
}

func (j Job) with(change func(*Job)) Job {
	change(&j)
	return j
}

// String writes the plan as the table's rows do.
func (p Plan) String() string {
	var words []string
	for _, placed := range p.Place {
		words = append(words, fmt.Sprintf("%s on %s[%s]", placed.Job, placed.Node, strings.Join(placed.Devices, " ")))
	}
	for _, reason := range p.Wait {
		words = append(words, fmt.Sprintf("%s waits %s: %s", reason.Job, reason.Code, reason.EN))
	}
	return strings.Join(words, "; ")
}

func TestDecide(t *testing.T) {
	gpu := func(j *Job) { j.Chip = "nvidia-h200" }
	for _, row := range []struct {
		name  string
		nodes []Node
		jobs  []Job
		want  string
	}{
		{"nothing to do", []Node{node("a", 2, 8*gib)}, nil, ""},
		{"it fits", []Node{node("a", 2, 8*gib)}, []Job{want("J1", 1, 1, 1)}, "J1 on a[cpu0]"},
		{"it takes what it can use", []Node{node("a", 4, 8*gib)}, []Job{want("J1", 1, 1, 3)}, "J1 on a[cpu0 cpu1 cpu2]"},
		{"it makes do with the least", []Node{node("a", 3, 8*gib, "J0")}, []Job{want("J1", 1, 2, 9)}, "J1 on a[cpu1 cpu2]"},
		{"it goes where there is most", []Node{node("a", 2, 8*gib), node("b", 4, 8*gib)}, []Job{want("J1", 1, 1, 8)}, "J1 on b[cpu0 cpu1 cpu2 cpu3]"},
		{"the first node if both do", []Node{node("b", 4, 8*gib), node("a", 4, 8*gib)}, []Job{want("J1", 1, 1, 2)}, "J1 on a[cpu0 cpu1]"},
		{"cpu2 comes before cpu10", []Node{node("a", 11, 8*gib)}, []Job{want("J1", 1, 11, 11)}, "J1 on a[cpu0 cpu1 cpu2 cpu3 cpu4 cpu5 cpu6 cpu7 cpu8 cpu9 cpu10]"},
		{"in order of arrival, not of names", []Node{node("a", 1, 8*gib)}, []Job{want("J10", 2, 1, 1), want("J9", 1, 1, 1)},
			"J9 on a[cpu0]; J10 waits busy: waits for 1 × cpu-slot, held by J9"},
		{"two side by side", []Node{node("a", 2, 8*gib)}, []Job{want("J1", 1, 1, 1), want("J2", 2, 1, 1)}, "J1 on a[cpu0]; J2 on a[cpu1]"},
		{"two on two nodes", []Node{node("a", 1, 8*gib), node("b", 1, 8*gib)}, []Job{want("J1", 1, 1, 1), want("J2", 2, 1, 1)}, "J1 on a[cpu0]; J2 on b[cpu0]"},

		{"busy", []Node{node("a", 2, 8*gib, "J7", "J8")}, []Job{want("J9", 9, 1, 1)}, "J9 waits busy: waits for 1 × cpu-slot, held by J7, J8"},
		{"a part of the gang does not start", []Node{node("a", 4, 8*gib, "J7")}, []Job{want("J9", 9, 4, 4)}, "J9 waits busy: waits for 4 × cpu-slot, held by J7"},
		{"two halves on two nodes are no whole", []Node{node("a", 2, 8*gib, "J7"), node("b", 2, 8*gib, "J8")}, []Job{want("J9", 9, 2, 2)}, "J9 waits busy: waits for 2 × cpu-slot, held by J7, J8"},
		{"many hold", []Node{node("a", 7, 8*gib, "J1", "J2", "J3", "J4", "J5", "J6", "J7")}, []Job{want("J9", 9, 1, 1)}, "J9 waits busy: waits for 1 × cpu-slot, held by J1, J2, J3, J4, J5, +2"},
		{"no node at all", nil, []Job{want("J1", 1, 1, 1)}, "J1 waits absent: wants 1 × cpu-slot on one node; the largest node it may use has 0"},
		{"more than any node has", []Node{node("a", 2, 8*gib), node("b", 3, 8*gib)}, []Job{want("J1", 1, 4, 4)}, "J1 waits absent: wants 4 × cpu-slot on one node; the largest node it may use has 3"},
		{"another chip", []Node{node("a", 2, 8*gib)}, []Job{want("J1", 1, 1, 1).with(gpu)}, "J1 waits absent: wants 1 × nvidia-h200 on one node; the largest node it may use has 0"},
		{"memory is taken", []Node{node("a", 2, gib-1)}, []Job{want("J1", 1, 1, 1)}, "J1 waits memory: waits for 1.0 GiB of memory"},
		{"memory goes with each job", []Node{node("a", 3, 2*gib)}, []Job{want("J1", 1, 1, 1), want("J2", 2, 1, 1), want("J3", 3, 1, 1)},
			"J1 on a[cpu0]; J2 on a[cpu1]; J3 waits memory: waits for 1.0 GiB of memory"},
		{"just enough memory", []Node{node("a", 1, gib)}, []Job{want("J1", 1, 1, 1)}, "J1 on a[cpu0]"},
		{"more memory than any node has", []Node{node("a", 2, 8*gib)}, []Job{want("J1", 1, 1, 1).with(func(j *Job) { j.Memory = 17 * gib })},
			"J1 waits absent: wants 17.0 GiB of memory beside 1 × cpu-slot on one node; the largest node it may use has 16.0 GiB"},
		{"policy forbids every node", []Node{node("a", 2, 8*gib)}, []Job{want("J1", 1, 1, 1).with(func(j *Job) { j.Allowed, j.Denied = nil, "forbidden by residency" })},
			"J1 waits policy: policy allows it on no node: forbidden by residency"},
		{"policy forbids the free node", []Node{node("a", 2, 8*gib), node("b", 1, 8*gib, "J7")},
			[]Job{want("J9", 9, 1, 1).with(func(j *Job) { j.Allowed, j.Denied = []fleet.NodeID{"b"}, "forbidden by residency" })},
			"J9 waits busy: waits for 1 × cpu-slot, held by J7"},

		{"a later job does not overtake", []Node{node("a", 4, 8*gib, "J7")}, []Job{want("J8", 8, 4, 4), want("J9", 9, 1, 1)},
			"J8 waits busy: waits for 4 × cpu-slot, held by J7; J9 waits behind: waits behind J8, which came first and wants cpu-slot too"},
		{"nor one that waits for memory", []Node{node("a", 4, 2*gib)}, []Job{want("J8", 8, 1, 1).with(func(j *Job) { j.Memory = 3 * gib }), want("J9", 9, 1, 1)},
			"J8 waits memory: waits for 3.0 GiB of memory; J9 waits behind: waits behind J8, which came first and wants cpu-slot too"},
		{"one that wants another chip passes", []Node{node("a", 2, 8*gib, "J7")}, []Job{want("J8", 8, 1, 1).with(gpu), want("J9", 9, 1, 1)},
			"J9 on a[cpu1]; J8 waits absent: wants 1 × nvidia-h200 on one node; the largest node it may use has 0"},
		{"what can never start blocks nobody", []Node{node("a", 2, 8*gib)}, []Job{want("J8", 8, 9, 9), want("J9", 9, 1, 1)},
			"J9 on a[cpu0]; J8 waits absent: wants 9 × cpu-slot on one node; the largest node it may use has 2"},
		{"nor what wants memory nobody has", []Node{node("a", 2, 8*gib)}, []Job{want("J8", 8, 1, 1).with(func(j *Job) { j.Memory = 17 * gib }), want("J9", 9, 1, 1)},
			"J9 on a[cpu0]; J8 waits absent: wants 17.0 GiB of memory beside 1 × cpu-slot on one node; the largest node it may use has 16.0 GiB"},
		{"nor what policy forbids", []Node{node("a", 2, 8*gib)}, []Job{want("J8", 8, 1, 1).with(func(j *Job) { j.Allowed, j.Denied = nil, "forbidden by residency" }), want("J9", 9, 1, 1)},
			"J9 on a[cpu0]; J8 waits policy: policy allows it on no node: forbidden by residency"},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan := Decide(View{row.nodes, row.jobs})
			if got := plan.String(); got != row.want {
				t.Fatalf("got  %s\nwant %s", got, row.want)
			}
			for _, reason := range plan.Wait {
				if reason.KO == "" || !strings.ContainsFunc(reason.KO, func(r rune) bool { return r >= '가' && r <= '힣' }) {
					t.Errorf("%s is not said in Korean: %q", reason.Job, reason.KO)
				}
			}
		})
	}
}

var chips = []fleet.Chip{fleet.CPUSlot, "nvidia-h200"}

var anyView = rapid.Custom(func(t *rapid.T) View {
	var v View
	ids := []fleet.NodeID{"a", "b", "c"}[:rapid.IntRange(0, 3).Draw(t, "nodes")]
	for _, id := range ids {
		n := Node{ID: id, Total: map[fleet.Chip]int{}, Holders: map[fleet.Chip][]job.ID{},
			MemoryTotal: unit.Bytes(rapid.IntRange(0, 10).Draw(t, "memory"))}
		n.Memory = unit.Bytes(rapid.IntRange(0, int(n.MemoryTotal)).Draw(t, "free memory"))
		for i := range rapid.IntRange(0, 6).Draw(t, "devices") {
			chip := rapid.SampledFrom(chips).Draw(t, "chip")
			n.Total[chip]++
			if rapid.Bool().Draw(t, "free") {
				n.Free = append(n.Free, fleet.Device{ID: fmt.Sprint("d", i*3), Chip: chip})
			} else {
				n.Holders[chip] = append(n.Holders[chip], job.ID(fmt.Sprintf("held-%s-%d", id, i)))
			}
		}
		v.Nodes = append(v.Nodes, n)
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "jobs") {
		least := rapid.IntRange(1, 4).Draw(t, "least")
		j := Job{ID: job.ID(fmt.Sprint("J", i)), Order: int64(rapid.IntRange(0, 3).Draw(t, "order")), Chip: rapid.SampledFrom(chips).Draw(t, "chip"),
			CountMin: least, Count: least + rapid.IntRange(0, 3).Draw(t, "more"), Memory: unit.Bytes(rapid.IntRange(0, 6).Draw(t, "memory"))}
		for _, id := range ids {
			if rapid.IntRange(0, 3).Draw(t, "allowed") > 0 {
				j.Allowed = append(j.Allowed, id)
			} else {
				j.Denied = "forbidden by test"
			}
		}
		v.Waiting = append(v.Waiting, j)
	}
	return v
})

func (v View) node(id fleet.NodeID) Node {
	return v.Nodes[slices.IndexFunc(v.Nodes, func(n Node) bool { return n.ID == id })]
}

// TestPlansAreSafe: every job is placed or told why not; no device is given
// twice or that was not free; nobody gets less than the least or more than the
// most, more memory than there is, or a node where policy forbids it; and
// nobody who came later passes one who waits for the same chip and could start
// in time.
func TestPlansAreSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView.Draw(t, "view")
		plan := Decide(v)
		taken, memory, told := map[string]job.ID{}, map[fleet.NodeID]unit.Bytes{}, map[job.ID]string{}
		jobs := map[job.ID]Job{}
		for _, j := range v.Waiting {
			jobs[j.ID] = j
		}
		for _, p := range plan.Place {
			j := jobs[p.Job]
			if told[p.Job] != "" {
				t.Fatalf("%s is placed twice", p.Job)
			}
			told[p.Job] = "placed"
			if n := len(p.Devices); n < j.CountMin || n > j.Count {
				t.Fatalf("%s wants %d to %d devices and gets %d", j.ID, j.CountMin, j.Count, n)
			}
			if !slices.Contains(j.Allowed, p.Node) {
				t.Fatalf("%s is on %s, where policy forbids it", j.ID, p.Node)
			}
			for _, d := range p.Devices {
				if !slices.Contains(v.node(p.Node).Free, fleet.Device{ID: d, Chip: j.Chip}) {
					t.Fatalf("%s gets %s of %s, which is no free %s", j.ID, d, p.Node, j.Chip)
				}
				at := string(p.Node) + "/" + d
				if taken[at] != "" {
					t.Fatalf("%s is given to %s and %s", at, taken[at], j.ID)
				}
				taken[at] = j.ID
			}
			if memory[p.Node] += j.Memory; memory[p.Node] > v.node(p.Node).Memory {
				t.Fatalf("%s gets more memory than is free", j.ID)
			}
		}
		for _, r := range plan.Wait {
			if told[r.Job] != "" || r.EN == "" || r.KO == "" {
				t.Fatalf("%s waits for %q and is %q too", r.Job, r.Code, told[r.Job])
			}
			told[r.Job] = r.Code
		}
		if len(told) != len(v.Waiting) {
			t.Fatalf("%d jobs, %d are told something", len(v.Waiting), len(told))
		}
		for _, early := range v.Waiting {
			for _, late := range v.Waiting {
				first := early.Order < late.Order || early.Order == late.Order && early.ID < late.ID
				if first && early.Chip == late.Chip && (told[early.ID] == "busy" || told[early.ID] == "memory" || told[early.ID] == "behind") && told[late.ID] == "placed" {
					t.Fatalf("%s overtakes %s, which is %s", late.ID, early.ID, told[early.ID])
				}
			}
		}
	})
}

// TestNobodyWaitsInVain: the first job of a chip that some allowed node could
// take now is taken.
func TestNobodyWaitsInVain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView.Draw(t, "view")
		if len(v.Waiting) == 0 {
			return
		}
		v.Waiting = v.Waiting[:1]
		j, could := v.Waiting[0], false
		for _, n := range v.Nodes {
			free := 0
			for _, d := range n.Free {
				if d.Chip == j.Chip {
					free++
				}
			}
			could = could || slices.Contains(j.Allowed, n.ID) && free >= j.CountMin && n.Memory >= j.Memory
		}
		if placed := len(Decide(v).Place) == 1; placed != could {
			t.Fatalf("placed: %v, could be: %v; %s", placed, could, Decide(v))
		}
	})
}

// TestTheOrderOfTheViewIsNoMatter: the same view in another order gives the
// same plan, and the view is left as it was.
func TestTheOrderOfTheViewIsNoMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView.Draw(t, "view")
		plan := Decide(v)
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		other := View{slices.Clone(v.Nodes), slices.Clone(v.Waiting)}
		chance.Shuffle(len(other.Nodes), func(i, j int) { other.Nodes[i], other.Nodes[j] = other.Nodes[j], other.Nodes[i] })
		chance.Shuffle(len(other.Waiting), func(i, j int) {
			other.Waiting[i], other.Waiting[j] = other.Waiting[j], other.Waiting[i]
		})
		for i := range other.Nodes {
			free := slices.Clone(other.Nodes[i].Free)
			chance.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
			other.Nodes[i].Free = free
		}
		before := fmt.Sprintf("%+v", other)
		if got := Decide(other); !reflect.DeepEqual(got, plan) {
			t.Fatalf("in another order\n%s\nand before\n%s", got, plan)
		}
		if fmt.Sprintf("%+v", other) != before {
			t.Fatal("deciding changed the view")
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	var v View
	var allowed []fleet.NodeID
	for i := range 1000 {
		n := node(fleet.NodeID(fmt.Sprintf("n%04d", i)), 8, 16*gib)
		v.Nodes = append(v.Nodes, n)
		allowed = append(allowed, n.ID)
	}
	for i := range 100 {
		v.Waiting = append(v.Waiting, want(job.ID(fmt.Sprint("J", i)), int64(i), 1, 8).with(func(j *Job) { j.Allowed = allowed }))
	}
	for b.Loop() {
		if p := Decide(v); len(p.Place) != 100 {
			b.Fatal(p)
		}
	}
}
