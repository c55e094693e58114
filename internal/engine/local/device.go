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
	"github.com/gaon-ai/gaon/internal/unit"
)

// device is an accelerator of this machine, and how work is given it.
type device struct {
	fleet.Device
	nodes    []string // files in /dev
	variable string   // environment variable that lists visible devices
	value    string   // this device in that list
}

// vendor says how one maker's devices are found: by its library where there is
// a row for it, or else by a tool that comes with the driver. The table is
// data; adding a maker is adding a row.
type vendor struct {
	name     string
	library  *library   // asked first; nil where only tools are
	argv     [][]string // the first tool that this machine has is asked
	parse    func([]byte) ([]card, error)
	variable string            // environment variable that lists visible devices
	visible  string            // one device in that list where its tool gives no id, %d its number
	shared   []string          // files in /dev that each of its devices needs
	node     string            // file in /dev of one device, %d its number
	chips    map[string]string // product to chip, where it is not in the name
	model    *regexp.Regexp    // finds the chip in a product's long name
}

// card is one device as its library or tool names it.
type card struct {
	index   int
	product string
	id      string     // for the environment variable; the index where empty
	file    string     // its own file in /dev, made of its number where empty
	memory  unit.Bytes // of the device, zero where not told
}

const (
	cardsMax     = 256
	toolBytesMax = 4 << 20
	toolMax      = 10 * time.Second
)

// vendors are asked in this order.
var vendors = []vendor{
	{
		name: "nvidia", library: &library{call: askNVML, max: toolMax},
		argv: [][]string{{"nvidia-smi", "--query-gpu=index,name,uuid", "--format=csv,noheader"}}, parse: parseCSV,
		variable: "CUDA_VISIBLE_DEVICES", node: "/dev/nvidia%d",
		shared: []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"},
	},
	{
		name: "amd", argv: [][]string{{"rocm-smi", "--showproductname", "--json"}}, parse: parseROCm,
		variable: "ROCR_VISIBLE_DEVICES", shared: []string{"/dev/kfd", "/dev/dri"},
		model: regexp.MustCompile(`(?i)\bMI\d+[A-Z]*\b`),
	},
	{
		name: "habana", argv: [][]string{{"hl-smi", "-Q", "index,name,module_id", "-f", "csv,noheader"}}, parse: parseCSV,
		variable: "HABANA_VISIBLE_MODULES", node: "/dev/accel/accel%d",
		chips: map[string]string{"HL-205": "gaudi", "HL-225": "gaudi2", "HL-325L": "gaudi3"},
	},
	{
		name: "rebellions", argv: [][]string{{"rbln-smi"}, {"rbln-stat"}},
		parse:    parseLines(`^\|\s*(?P<index>\d+)\s*\|\s*(?P<product>RBLN-\S+)\s*\|\s*rbln\d+\s*\|`),
		variable: "RBLN_DEVICES", node: "/dev/rbln%d",
		chips: map[string]string{"RBLN-CA02": "atom", "RBLN-CA12": "atom-plus", "RBLN-CA22": "atom-plus", "RBLN-CA25": "atom-max"},
	},
	{
		name: "furiosa", argv: [][]string{{"furiosa-smi", "info"}},
		parse:    parseLines(`^\|\s*(?P<product>\w+)\s*\|\s*npu(?P<index>\d+)\s*\|`),
		variable: "FURIOSA_DEVICES", visible: "npu:%d", shared: []string{"/dev/rngd"},
	},
	{
		name: "huawei", argv: [][]string{{"npu-smi", "info", "-m"}},
		parse:    parseLines(`^\s*\d+\s+\d+\s+(?P<index>\d+)\s+(?:\d+\s+)?(?P<product>Ascend\s*\S+)\s*$`),
		variable: "ASCEND_RT_VISIBLE_DEVICES", node: "/dev/davinci%d",
		shared: []string{"/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"},
	},
}

// findDevices asks every vendor's library or tool that this machine has. What
// fails is reported in the log and its devices are not offered: a device that
// cannot be named cannot be given to anybody.
func findDevices(ctx context.Context, log *slog.Logger) []device {
	var all []device
	for _, v := range vendors {
		cards, err := v.look(ctx)
		if err != nil {
			log.Warn("look for devices", "vendor", v.name, "error", err)
		}
		for _, c := range cards {
			log.Debug("device", "vendor", v.name, "index", c.index, "product", c.product, "memory", c.memory)
		}
		all = append(all, v.devices(cards)...)
	}
	return all
}

// look lists the vendor's cards; none where neither its library nor a tool of
// it is there. Cards that come with an error are good: the error is about
// others, or about a way that was tried before.
func (v vendor) look(ctx context.Context) ([]card, error) {
	if v.library == nil {
		return v.askTool(ctx)
	}
	cards, err := v.library.ask(ctx)
	if cards != nil {
		return cards, err
	}
	var silent silentError
	if errors.As(err, &silent) {
		return nil, fmt.Errorf("library: %w", err)
	}
	cards, toolErr := v.askTool(ctx)
	if err != nil && !errors.Is(err, errNoLibrary) {
		toolErr = errors.Join(fmt.Errorf("library: %w", err), toolErr)
	}
	return cards, toolErr
}

// askTool asks the first of the vendor's tools that is there.
func (v vendor) askTool(ctx context.Context) ([]card, error) {
	for _, argv := range v.argv {
		path, err := exec.LookPath(argv[0])
		if err != nil {
			continue
		}
		out, err := runTool(ctx, path, argv[1:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", argv[0], err)
		}
		cards, err := v.parse(out)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", argv[0], err)
		}
		return cards, nil
	}
	return nil, nil
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
	out, err := io.ReadAll(io.LimitReader(pipe, toolBytesMax+1))
	if len(out) > toolBytesMax {
		cancel() // it would wait for a reader
		err = fmt.Errorf("it prints more than %d bytes", toolBytesMax)
	}
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
			Device:   fleet.Device{ID: prefix + strconv.Itoa(c.index), Chip: v.chip(c.product)},
			variable: v.variable, value: c.id, nodes: append([]string{}, v.shared...),
		}
		if d.value == "" && v.visible != "" {
			d.value = fmt.Sprintf(v.visible, c.index)
		} else if d.value == "" {
			d.value = strconv.Itoa(c.index)
		}
		if c.file != "" {
			d.nodes = append(d.nodes, c.file)
		} else if v.node != "" {
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

const chipBytesMax = 60

// chip makes "nvidia-h200" of "NVIDIA H200" and of "NVIDIA H200 NVL": what
// schedulers and rates speak of is the chip, not its board.
func (v vendor) chip(product string) fleet.Chip {
	if chip, ok := v.chips[product]; ok {
		return fleet.Chip(v.name + "-" + chip)
	}
	if v.model != nil {
		if model := v.model.FindString(product); model != "" {
			product = model
		}
	}
	name := strings.ToLower(productNoise.ReplaceAllString(product, " "))
	words := strings.FieldsFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
	chip := v.name + "-" + strings.Join(words, "-")
	if len(words) == 0 {
		chip = v.name + "-unknown"
	}
	return fleet.Chip(chip[:min(len(chip), chipBytesMax)])
}

// parseCSV reads lines of index, product, id.
func parseCSV(out []byte) ([]card, error) {
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
		index, err := strconv.Atoi(strings.TrimSpace(row[0]))
		if err != nil {
			return nil, fmt.Errorf("index %q: %w", row[0], err)
		}
		list = append(list, card{index: index, product: strings.TrimSpace(row[1]), id: strings.TrimSpace(row[2])})
	}
	return checkCards(list)
}

// parseLines reads the lines that fit a pattern with groups index and product.
func parseLines(pattern string) func([]byte) ([]card, error) {
	line := regexp.MustCompile("(?m)" + pattern)
	index, product := line.SubexpIndex("index"), line.SubexpIndex("product")
	return func(out []byte) ([]card, error) {
		var list []card
		for _, m := range line.FindAllSubmatch(bytes.ReplaceAll(out, []byte("\r"), nil), cardsMax+1) {
			n, err := strconv.Atoi(string(m[index]))
			if err != nil {
				return nil, err
			}
			list = append(list, card{index: n, product: string(m[product])})
		}
		return checkCards(list)
	}
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
