// Package cli is the commands a person types. Each talks to a running centre
// over its API, but for those that start one (demo, up), those that need none
// (verify), and those a centre starts itself (stage, supervise).
//
// It decides nothing; it asks, prints and explains.
//
// Begin with New.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
)

// Main runs the command line and returns the exit status: 0 done, 1 refused
// or failed, 2 not understood, 130 interrupted.
func Main(version string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := New(version)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "gaon: interrupted")
		return 130
	}
	printError(os.Stderr, err)
	if errors.As(err, new(*usageError)) {
		return 2
	}
	return 1
}

// usageError is a command line that was not understood.
type usageError struct{ error }

type hinted interface{ Hint() string }

// printError writes what is wrong and, on a line of its own, what to do next.
func printError(w io.Writer, err error) {
	text, hint, _ := strings.Cut(err.Error(), "\nhint: ")
	fmt.Fprintf(w, "gaon: %s\n", text)
	var h hinted
	var problem *api.Problem
	switch {
	case hint != "":
	case errors.As(err, &h):
		hint = h.Hint()
	case errors.As(err, &problem):
		hint = problem.Hint
	}
	if hint != "" {
		fmt.Fprintf(w, "gaon: hint: %s\n", hint)
	}
}

// settings is what every command may be told.
type settings struct {
	version string
	data    string
	server  string
	lang    string
	output  string
}

// The groups of the help, by role.
const (
	groupStart    = "start"
	groupTenant   = "tenant"
	groupOfficer  = "officer"
	groupOperator = "operator"
	groupAuditor  = "auditor"
)

// New builds the whole command tree.
func New(version string) *cobra.Command {
	s := &settings{version: version}
	root := &cobra.Command{
		Use:   "gaon",
		Short: "Gaon runs a sovereign AI computing centre, end to end",
		Long: `Gaon (가온, "the centre") runs a sovereign AI computing centre in one program:
call → application → award → credits → job → data → tokenizer → model →
evaluation gate → signed passport → serving → receipt, on one ledger that
anyone can verify.`,
		Example: `  gaon demo                 watch the whole chain work on this machine
  gaon up                   start a centre for real use
  gaon run list             see the factory runs of a running centre`,
		Version: version, SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	orHelp(root)
	flags := root.PersistentFlags()
	flags.StringVar(&s.data, "data", envOr("GAON_DATA", "gaon-data"), "folder of the local centre")
	flags.StringVar(&s.server, "server", os.Getenv("GAON_SERVER"), "address of the centre (default: the local one)")
	flags.StringVar(&s.lang, "lang", "", "language of what is shown, ko or en (default: by LANG)")
	flags.StringVarP(&s.output, "output", "o", "table", "how answers are printed: table, json, yaml, or id for ids alone")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return s.check() }
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w\nhint: see %s --help", err, c.CommandPath())}
	})
	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "Start here:"},
		&cobra.Group{ID: groupTenant, Title: "Tenants (companies and researchers):"},
		&cobra.Group{ID: groupOfficer, Title: "Programme officers and reviewers:"},
		&cobra.Group{ID: groupOperator, Title: "Operators:"},
		&cobra.Group{ID: groupAuditor, Title: "Auditors:"},
	)
	root.AddCommand(s.startCommands()...)
	root.AddCommand(s.tenantCommands()...)
	root.AddCommand(s.officerCommands()...)
	root.AddCommand(s.operatorCommands()...)
	root.AddCommand(s.auditorCommands()...)
	root.AddCommand(s.hiddenCommands()...)
	return root
}

func envOr(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func (s *settings) check() error {
	if !slices.Contains([]string{"table", "json", "yaml", "id"}, s.output) {
		return &usageError{fmt.Errorf("output %q: want table, json, yaml or id", s.output)}
	}
	switch s.lang {
	case "":
		s.lang = "en"
		if strings.HasPrefix(envOr("LC_ALL", os.Getenv("LANG")), "ko") {
			s.lang = "ko"
		}
	case "ko", "en":
	default:
		return &usageError{fmt.Errorf("language %q: want ko or en", s.lang)}
	}
	return nil
}

// say picks the text of the user's language.
func (s *settings) say(en, ko string) string {
	if s.lang == "ko" {
		return ko
	}
	return en
}

// noun groups a noun's verbs: gaon job list, gaon job show …
func noun(group, name, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, GroupID: group}
	orHelp(c)
	c.AddCommand(verbs...)
	return c
}

// orHelp makes a command that only groups others show its help, and refuse a
// word that is none of them with the nearest that is.
func orHelp(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := "see " + c.CommandPath() + " --help"
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "did you mean: " + c.CommandPath() + " " + near[0]
		}
		return &usageError{fmt.Errorf("unknown command %q for %q\nhint: %s", args[0], c.CommandPath(), hint)}
	}
}

// exactly wants the named arguments and says which is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return &usageError{fmt.Errorf("%s wants %s\nhint: see %s --help", c.CommandPath(), strings.Join(names, " "), c.CommandPath())}
	}
}
