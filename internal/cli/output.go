package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/host"
	"github.com/gaon-ai/gaon/internal/unit"
)

// client connects to the centre that the flags, the environment or the data
// folder name, in that order.
func (s *settings) client() (*api.Client, error) {
	access, err := host.ReadAccess(s.data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if s.server != "" {
		access.Address = s.server
	}
	if key := os.Getenv("GAON_KEY"); key != "" {
		access.Key = key
	}
	if access.Address == "" {
		return nil, fmt.Errorf("no centre is known: there is none in %s and neither --server nor GAON_SERVER is set\nhint: start one with: gaon up", s.data)
	}
	return api.NewClient(access.Address, access.Key), nil
}

// column is one column of a table.
type column[V any] struct {
	name string
	text func(V) string
}

// print writes rows as the user asked for them.
func printRows[V any](w io.Writer, s *settings, rows []V, columns []column[V]) error {
	if s.output == "id" {
		for _, row := range rows {
			if _, err := fmt.Fprintln(w, columns[0].text(row)); err != nil {
				return err
			}
		}
		return nil
	}
	if s.output != "table" {
		return s.printValue(w, rows)
	}
	cells := make([][]string, 1, len(rows)+1)
	for _, c := range columns {
		cells[0] = append(cells[0], strings.ToUpper(c.name))
	}
	for _, row := range rows {
		var line []string
		for _, c := range columns {
			line = append(line, strings.ReplaceAll(c.text(row), "\n", " "))
		}
		cells = append(cells, line)
	}
	return printCells(w, cells)
}

// printCells aligns by display width: a Korean syllable is two cells wide.
func printCells(w io.Writer, cells [][]string) error {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], ansi.StringWidth(cell))
		}
	}
	for _, line := range cells {
		var b strings.Builder
		for i, cell := range line {
			b.WriteString(cell)
			if i < len(line)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-ansi.StringWidth(cell)+2))
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// printValue writes one value as JSON or, for table too, as YAML: a single
// thing reads best as its fields one under another.
func (s *settings) printValue(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if s.output == "json" {
		_, err = fmt.Fprintln(w, string(data))
		return err
	}
	text, err := yaml.JSONToYAML(data)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// printMade tells what a change made.
func (s *settings) printMade(w io.Writer, made api.Made, next string) error {
	if s.output == "id" {
		_, err := fmt.Fprintln(w, made.ID)
		return err
	}
	if s.output != "table" {
		return s.printValue(w, made)
	}
	if made.Entry < 0 {
		_, err := fmt.Fprintln(w, s.say("nothing changed: it is so already", "바뀐 것이 없습니다: 이미 그렇습니다"))
		return err
	}
	fmt.Fprintf(w, s.say("%s (ledger entry %d)\n", "%s (원장 항목 %d)\n"), made.ID, made.Entry)
	if next != "" {
		fmt.Fprintf(w, s.say("next: %s\n", "다음: %s\n"), next)
	}
	return nil
}

// listing is a command that prints what the API lists.
func listing[V any](s *settings, path, short string, columns ...column[V]) *cobra.Command {
	return &cobra.Command{Use: "list", Short: short, Args: exactly(), Aliases: []string{"ls"},
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			var rows []V
			if err := client.Get(c.Context(), path, &rows); err != nil {
				return err
			}
			return printRows(c.OutOrStdout(), s, rows, columns)
		}}
}

// showing is a command that prints one thing.
func showing[V any](s *settings, path, short string) *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: short, Args: exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			var found V
			if err := client.Get(c.Context(), path+"/"+args[0], &found); err != nil {
				return err
			}
			return s.printValue(c.OutOrStdout(), found)
		}}
}

// changing is a command that posts to one thing.
func changing(s *settings, use, path, verb, short string, body func() any) *cobra.Command {
	return &cobra.Command{Use: use + " ID", Short: short, Args: exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return s.post(c, path+"/"+args[0]+"/"+verb, body(), "")
		}}
}

// post sends a change and tells what it made.
func (s *settings) post(c *cobra.Command, path string, body any, next string) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	made, err := client.Post(c.Context(), path, "", body)
	if err != nil {
		return err
	}
	return s.printMade(c.OutOrStdout(), made, next)
}

// when writes an instant in local time.
func when(t unit.Instant) string {
	if t == 0 {
		return "-"
	}
	return time.UnixMilli(int64(t)).Format("2006-01-02 15:04:05")
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
