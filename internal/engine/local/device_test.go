package local

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/fleet"
)

// recorded is what vendors' tools print, as their makers document it or as
// users of the tools reported it.
var recorded = []struct {
	vendor, output string
	ids            []string
	chips          []fleet.Chip
	visible        string // of the first two devices, as the variable has it
}{
	{"nvidia", "0, NVIDIA H200, GPU-1a2b3c4d-0000-1111-2222-333344445555\n1, NVIDIA H200, GPU-9f8e7d6c-0000-1111-2222-333344445555\n",
		[]string{"gpu0", "gpu1"}, []fleet.Chip{"nvidia-h200", "nvidia-h200"},
		"CUDA_VISIBLE_DEVICES=GPU-1a2b3c4d-0000-1111-2222-333344445555,GPU-9f8e7d6c-0000-1111-2222-333344445555"},
	{"nvidia", "0, NVIDIA A100-SXM4-80GB, GPU-aaaaaaaa-0000-1111-2222-333344445555\n",
		[]string{"gpu0"}, []fleet.Chip{"nvidia-a100"}, "CUDA_VISIBLE_DEVICES=GPU-aaaaaaaa-0000-1111-2222-333344445555"},
	{"nvidia", "", nil, nil, "CUDA_VISIBLE_DEVICES="},
	{"amd", `{"card0": {"Card Series": "AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2", "Card Model": "0x7408", "Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]", "Card SKU": "D65201", "GUID": "58294"}, "system": {"Driver version": "6.3.6"}}`,
		[]string{"amd0"}, []fleet.Chip{"amd-mi200"}, "ROCR_VISIBLE_DEVICES=0"},
	{"amd", `{"card1": {"Card series": "Arcturus GL-XL [AMD Instinct MI100]", "Card model": "0x0c34"}, "card0": {"Card series": "N/A", "Card model": "0x0c34"}}`,
		[]string{"amd0", "amd1"}, []fleet.Chip{"amd-unknown", "amd-mi100"}, "ROCR_VISIBLE_DEVICES=0,1"},
	{"habana", "0, HL-225, 3\n1, HL-325L, 1\n",
		[]string{"habana0", "habana1"}, []fleet.Chip{"habana-gaudi2", "habana-gaudi3"}, "HABANA_VISIBLE_MODULES=3,1"},
	{"rebellions", `+-------------------------------------------------------------------------------------------------+
|                                 Device Information KMD ver: N/A                                 |
+-----+-----------+---------+---------------+------+---------+------+---------------------+-------+
| NPU |    Name   | Device  |   PCI BUS ID  | Temp |  Power  | Perf |  Memory(used/total) |  Util |
+-----+-----------+---------+---------------+------+---------+------+---------------------+-------+
| 0   | RBLN-CA12 | rbln0   |  0000:51:00.0 |  38C |  43.9W  | P2   |   2.4GB / 15.7GiB   |  98.7 |
| 1   | RBLN-CR13 | rbln1   |  0000:d8:00.0 |  25C |   6.1W  | P14  |    0.0B / 15.7GiB   |   0.0 |
+-----+-----------+---------+---------------+------+---------+------+---------------------+-------+
|                                        Context Information                                      |
+-----+---------------------+--------------+-----+----------+------+---------------------+--------+
| NPU |       Process       |     PID      | CTX | Priority | PTID |           Memalloc  | Status |
| 0   | python              |      5        |  1  |    0     |   6  |    2.4GiB           |  run   |
`, []string{"rebellions0", "rebellions1"}, []fleet.Chip{"rebellions-atom-plus", "rebellions-rbln-cr13"}, "RBLN_DEVICES=0,1"},
	{"furiosa", `+------+--------+---------------------+---------+-------+--------------+
| Arch | Device | Firmware            | Temp.   | Power | PCI-BDF      |
+------+--------+---------------------+---------+-------+--------------+
| RNGD | npu0   | 1.7.0, 4dfed1852e7b | 40.98°C |  38 W | 0000:03:00.0 |
+------+--------+---------------------+---------+-------+--------------+
| rngd | npu1   | 1.7.0, 4dfed1852e7b | 41.34°C |  37 W | 0000:04:00.0 |
+------+--------+---------------------+---------+-------+--------------+
`, []string{"furiosa0", "furiosa1"}, []fleet.Chip{"furiosa-rngd", "furiosa-rngd"}, "FURIOSA_DEVICES=npu:0,npu:1"},
	{"huawei", `	NPU ID                         Chip ID                        Chip Logic ID                  Chip Name
	0                              0                              0                              Ascend 910B3
	0                              1                              -                              Mcu
	1                              0                              1                              Ascend 910B3
	1                              1                              -                              Mcu
`, []string{"huawei0", "huawei1"}, []fleet.Chip{"huawei-910b3", "huawei-910b3"}, "ASCEND_RT_VISIBLE_DEVICES=0,1"},
}

func vendorNamed(t testing.TB, name string) vendor {
	for _, v := range vendors {
		if v.name == name {
			return v
		}
	}
	t.Fatalf("no vendor %s", name)
	return vendor{}
}

func TestRecordedTools(t *testing.T) {
	for _, r := range recorded {
		v := vendorNamed(t, r.vendor)
		cards, err := v.parse([]byte(r.output))
		if err != nil {
			t.Errorf("%s: %v in %q", r.vendor, err, r.output)
			continue
		}
		var ids []string
		var chips []fleet.Chip
		devices := v.devices(cards)
		for _, d := range devices {
			ids, chips = append(ids, d.ID), append(chips, d.Chip)
		}
		if !reflect.DeepEqual(ids, r.ids) || !reflect.DeepEqual(chips, r.chips) {
			t.Errorf("%s: devices %v of chips %v, want %v and %v", r.vendor, ids, chips, r.ids, r.chips)
		}
		env := deviceEnvironment(devices)
		if len(env) != len(vendors) || !strings.Contains(strings.Join(env, "\n")+"\n", r.visible+"\n") {
			t.Errorf("%s: environment %v, want %s", r.vendor, env, r.visible)
		}
	}
}

func TestRefusedTools(t *testing.T) {
	for _, r := range []struct{ vendor, output string }{
		{"nvidia", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"},
		{"nvidia", "zero, NVIDIA H200, GPU-1\n"},
		{"nvidia", "-1, NVIDIA H200, GPU-1\n"},
		{"nvidia", "0, NVIDIA H200, GPU-1\n0, NVIDIA H200, GPU-2\n"},
		{"nvidia", "0, NVIDIA H200, \"GPU-1,GPU-2\"\n"},
		{"nvidia", "100000, NVIDIA H200, GPU-1\n"},
		{"amd", "WARNING: No AMD GPUs specified\n"},
		{"amd", `{"card0": {"Card series": "x"}, "card00": {"Card series": "y"}}`},
		{"rebellions", "| 0 | RBLN-CA12 | rbln0 |\n| 0 | RBLN-CA12 | rbln0 |\n"},
		{"rebellions", "| 99999999999999999999 | RBLN-CA12 | rbln0 |\n"},
	} {
		if cards, err := vendorNamed(t, r.vendor).parse([]byte(r.output)); err == nil {
			t.Errorf("%s: %q gives %v, want an error", r.vendor, r.output, cards)
		}
	}
}

// TestTool runs a tool that is really a program, through the whole path: a
// script stands for nvidia-smi and prints what is recorded.
func TestTool(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	script := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	v := vendorNamed(t, "nvidia")
	v.library = nil // this machine's own would answer
	script("echo '0, NVIDIA H200, GPU-1'\n")
	if cards, err := v.look(t.Context()); err != nil || len(cards) != 1 || cards[0] != (card{index: 0, product: "NVIDIA H200", id: "GPU-1"}) {
		t.Fatalf("cards %v, %v", cards, err)
	}
	if nodes := v.devices([]card{{index: 0, product: "NVIDIA H200", id: "GPU-1"}})[0].nodes; len(nodes) != 5 || nodes[4] != "/dev/nvidia0" {
		t.Fatalf("nodes %v", nodes)
	}
	script("echo 'Unable to determine the device handle: GPU is lost'\nexit 9\n")
	if cards, err := v.look(t.Context()); err == nil {
		t.Fatalf("a tool that fails gives %v", cards)
	}
	script("head -c 10000000 /dev/zero\n")
	if cards, err := v.look(t.Context()); err == nil {
		t.Fatalf("a tool that prints without end gives %v", cards)
	}
}
