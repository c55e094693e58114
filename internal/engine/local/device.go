package local

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/fleet"
)

// device is an accelerator of this machine, and how work is given it.
type device struct {
	fleet.Device
	nodes    []string // files in /dev
	variable string   // environment variable that lists visible devices
	value    string   // this device in that list
}

// vendor says how one maker's devices are found: by a tool that the maker
// ships with the driver. The table is data; adding a maker is adding a row.
type vendor struct {
	name     string
	argv     []string
	parse    func([]byte) ([]card, error)
	variable string
	shared   []string // files in /dev that each of its devices needs
	node     string   // file in /dev of one device, %d its number
}

// card is one device as its tool names it.
type card struct {
	index   int
	product string
	id      string // for the environment variable; the index where empty
}

const (
	cardsMax     = 256
	toolBytesMax = 4 << 20
	toolMax      = 10 * time.Second
)

// vendors are asked in this order. Each line names what the output was taken
// from; the tests hold recorded outputs.
var vendors = []vendor{
	{
		name: "nvidia", argv: []string{"nvidia-smi", "--query-gpu=index,name,uuid", "--format=csv,noheader"}, parse: parseNvidia,
		variable: "CUDA_VISIBLE_DEVICES", node: "/dev/nvidia%d",
		shared: []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"},
	},
	{
		name: "amd", argv: []string{"rocm-smi", "--showproductname", "--json"}, parse: parseROCm,
		variable: "ROCR_VISIBLE_DEVICES", shared: []string{"/dev/kfd", "/dev/dri"},
	},
	{
		name: "habana", argv: []string{"hl-smi", "-Q", "index,name,uuid", "-f", "csv,noheader"}, parse: parseNvidia,
		variable: "HABANA_VISIBLE_DEVICES", node: "/dev/accel/accel%d", shared: []string{},
	},
	{
		name: "rebellions", argv: []string{"rbln-stat", "-j"}, parse: parseRebellions,
		variable: "RBLN_DEVICES", node: "/dev/rbln%d",
	},
	{
		name: "furiosa", argv: []string{"furiosa-smi", "info", "--format", "json"}, parse: parseFuriosa,
		variable: "FURIOSA_DEVICES", shared: []string{"/dev/rngd"},
	},
	{
		name: "huawei", argv: []string{"npu-smi", "info", "-m"}, parse: parseAscend,
		variable: "ASCEND_RT_VISIBLE_DEVICES", node: "/dev/davinci%d",
		shared: []string{"/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"},
	},
}

// findDevices asks every vendor's tool that this machine has. A tool that
// fails is reported in the log and its devices are not offered: a device that
// cannot be named cannot be given to anybody.
func findDevices(ctx context.Context, log *slog.Logger) []device {
	var all []device
	for _, v := range vendors {
		path, err := exec.LookPath(v.argv[0])
		if err != nil {
			continue
		}
		out, err := runTool(ctx, path, v.argv[1:])
		var cards []card
		if err == nil {
			cards, err = v.parse(out)
		}
		if err != nil {
			log.Warn("look for devices", "tool", v.argv[0], "error", err)
			continue
		}
		all = append(all, v.devices(cards)...)
	}
	return all
}

func runTool(ctx context.Context, path string, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, toolMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(pipe, toolBytesMax))
	return out, errors.Join(err, cmd.Wait())
}

// devices turns cards into devices: gpu0 of each maker would collide, so the
// second maker's are named with its own name.
func (v vendor) devices(cards []card) []device {
	prefix := v.name
	if v.name == "nvidia" {
		prefix = "gpu"
	}
	var list []device
	for _, c := range cards {
		d := device{
			Device:   fleet.Device{ID: prefix + strconv.Itoa(c.index), Chip: chipName(v.name, c.product)},
			variable: v.variable, value: c.id, nodes: append([]string{}, v.shared...),
		}
		if d.value == "" {
			d.value = strconv.Itoa(c.index)
		}
		if v.node != "" {
			d.nodes = append(d.nodes, fmt.Sprintf(v.node, c.index))
		}
		list = append(list, d)
	}
	return list
}

// deviceEnvironment tells the makers' libraries which devices are given. A
// maker none of whose devices is given gets an empty list, so that work that
// asked for processors does not grab accelerators where /dev shows them.
func deviceEnvironment(given []device) []string {
	var env []string
	for _, v := range vendors {
		var values []string
		for _, d := range given {
			if d.variable == v.variable {
				values = append(values, d.value)
			}
		}
		env = append(env, v.variable+"="+strings.Join(values, ","))
	}
	return env
}

// productNoise is what makers put around the name of a chip.
var productNoise = regexp.MustCompile(`(?i)\b(nvidia|amd|instinct|intel|habana|huawei|ascend|rebellions|furiosa(ai)?|tesla|geforce|pcie|sxm\d*|hbm\de?|nvl|oam|generation|\d+gb)\b`)

// chipName makes "nvidia-h200" of "NVIDIA H200" and of "NVIDIA H200 NVL": what
// schedulers and rates speak of is the chip, not its board.
func chipName(vendor, product string) fleet.Chip {
	name := strings.ToLower(productNoise.ReplaceAllString(product, " "))
	words := strings.FieldsFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
	chip := vendor + "-" + strings.Join(words, "-")
	if len(words) == 0 {
		chip = vendor + "-unknown"
	}
	return fleet.Chip(chip[:min(len(chip), 60)])
}

// parseNvidia reads lines of index, product, UUID. hl-smi writes the same.
func parseNvidia(out []byte) ([]card, error) {
	reader := csv.NewReader(bytes.NewReader(out))
	reader.TrimLeadingSpace = true
	reader.FieldsPerRecord = 3
	reader.LazyQuotes = true
	rows, err := reader.ReadAll()
	if err != nil {
		return nil, err
	}
	var list []card
	for _, row := range rows {
		index, err := strconv.Atoi(row[0])
		if err != nil {
			return nil, fmt.Errorf("index %q: %w", row[0], err)
		}
		list = append(list, card{index, row[1], row[2]})
	}
	return checkCards(list)
}

// parseROCm reads {"card0": {"Card series": …}}.
func parseROCm(out []byte) ([]card, error) {
	var found map[string]map[string]any
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, err
	}
	var list []card
	for name, facts := range found {
		digits, isCard := strings.CutPrefix(name, "card")
		index, err := strconv.Atoi(digits)
		if !isCard || err != nil {
			continue // "system" and the like
		}
		product := ""
		for _, key := range []string{"Card Series", "Card series", "Card Model", "Card model"} {
			if text, ok := facts[key].(string); ok && product == "" && !strings.HasPrefix(text, "0x") && text != "N/A" {
				product = text
			}
		}
		list = append(list, card{index: index, product: product})
	}
	return checkCards(list)
}

// parseRebellions reads {"devices": [{"npu": 0, "name": "RBLN-CA12"}]}.
func parseRebellions(out []byte) ([]card, error) {
	var found struct {
		Devices []struct {
			NPU  json.RawMessage `json:"npu"`
			Name string          `json:"name"`
			UUID string          `json:"uuid"`
		} `json:"devices"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, err
	}
	var list []card
	for _, d := range found.Devices {
		index, err := strconv.Atoi(strings.Trim(string(d.NPU), `"`))
		if err != nil {
			return nil, fmt.Errorf("npu %s: %w", d.NPU, err)
		}
		list = append(list, card{index: index, product: d.Name})
	}
	return checkCards(list)
}

// parseFuriosa reads [{"arch": "rngd", "dev_name": "npu0"}].
func parseFuriosa(out []byte) ([]card, error) {
	var found []struct {
		Arch string `json:"arch"`
		Name string `json:"dev_name"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, err
	}
	var list []card
	for _, d := range found {
		index, err := strconv.Atoi(strings.TrimPrefix(d.Name, "npu"))
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", d.Name, err)
		}
		list = append(list, card{index: index, product: d.Arch, id: "npu:" + strconv.Itoa(index)})
	}
	return checkCards(list)
}

// ascendLine is "NPU ID, Chip ID, Chip Logic ID, Chip Name" of npu-smi info -m.
var ascendLine = regexp.MustCompile(`(?m)^\s*\d+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(Ascend\s*\S+)\s*$`)

func parseAscend(out []byte) ([]card, error) {
	var list []card
	for _, m := range ascendLine.FindAllSubmatch(out, cardsMax+1) {
		index, err := strconv.Atoi(string(m[1]))
		if err != nil {
			return nil, err
		}
		list = append(list, card{index: index, product: strings.TrimPrefix(string(m[2]), "Ascend")})
	}
	return checkCards(list)
}

// checkCards refuses numbers that no machine has, or twice.
func checkCards(list []card) ([]card, error) {
	seen := map[int]bool{}
	for _, c := range list {
		if c.index < 0 || c.index >= cardsMax || seen[c.index] {
			return nil, fmt.Errorf("device number %d is impossible or given twice", c.index)
		}
		seen[c.index] = true
		if strings.ContainsAny(c.id, ",\x00\n") {
			return nil, fmt.Errorf("device id %q has no plain form", c.id)
		}
	}
	sortCards(list)
	return list, nil
}

func sortCards(list []card) {
	slices.SortFunc(list, func(a, b card) int { return a.index - b.index })
}
