package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/engine/local"
	"github.com/gaon-ai/gaon/internal/host"
	"github.com/gaon-ai/gaon/internal/stage"
)

func (s *settings) startCommands() []*cobra.Command { return []*cobra.Command{s.demo(), s.up()} }

// centreFlags are what demo and up know of the centre they start.
func (s *settings) centreFlags(c *cobra.Command, config *host.Config) {
	f := c.Flags()
	f.StringVar(&config.Address, "address", host.DefaultAddress, "where to answer, HOST:PORT; port 0 takes a free one")
	f.StringVar(&config.Name, "name", "", "a new centre's name (default: by language)")
	f.StringVar(&config.Country, "country", "KR", "a new centre's country, ISO 3166-1 alpha-2")
	f.StringVar(&config.Site, "site", "", "a new centre's site (default: this machine's name)")
	f.IntVar(&config.Slots, "slots", 0, "CPU slots to offer to jobs (default: one for each processor)")
}

// open opens the centre of the data folder, with its log in a file there.
func (s *settings) open(ctx context.Context, config host.Config, logLevel slog.Level, also io.Writer) (*host.Host, func(), error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	dir, err := filepath.Abs(s.data)
	if err != nil {
		return nil, nil, err
	}
	config.Dir, config.Program, config.Version = dir, program, s.version
	if config.Name == "" {
		config.Name = s.say("Gaon Centre", "가온 센터")
	}
	if config.Site == "" {
		if config.Site, err = os.Hostname(); err != nil {
			config.Site = "local"
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("data folder: %w\nhint: name another with --data", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "centre.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("data folder: %w\nhint: name another with --data", err)
	}
	config.Log = slog.New(&tee{slog.NewTextHandler(file, nil), slog.NewTextHandler(also, &slog.HandlerOptions{Level: logLevel})})
	h, err := host.Open(ctx, config)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return h, func() { file.Close() }, nil
}

// tee sends records to two handlers: the log file and the terminal.
type tee struct{ first, second slog.Handler }

func (t *tee) Enabled(ctx context.Context, l slog.Level) bool {
	return t.first.Enabled(ctx, l) || t.second.Enabled(ctx, l)
}

func (t *tee) Handle(ctx context.Context, r slog.Record) error {
	var err error
	for _, h := range []slog.Handler{t.first, t.second} {
		if h.Enabled(ctx, r.Level) {
			err = errors.Join(err, h.Handle(ctx, r.Clone()))
		}
	}
	return err
}

func (t *tee) WithAttrs(a []slog.Attr) slog.Handler {
	return &tee{t.first.WithAttrs(a), t.second.WithAttrs(a)}
}

func (t *tee) WithGroup(name string) slog.Handler {
	return &tee{t.first.WithGroup(name), t.second.WithGroup(name)}
}

func (s *settings) up() *cobra.Command {
	var config host.Config
	c := &cobra.Command{Use: "up", Short: "Start a centre for real use, and stay", GroupID: groupStart, Args: exactly(),
		Long: `Starts the centre in the data folder, founding it the first time, and stays
until Ctrl-C. Jobs that run then go on without it, and it finds them again.`,
		Example: `  gaon up
  gaon up --data /srv/gaon --name '국가 AI 컴퓨팅 센터' --address 0.0.0.0:7600`,
		RunE: func(c *cobra.Command, _ []string) error {
			h, done, err := s.open(c.Context(), config, slog.LevelInfo, c.ErrOrStderr())
			if err != nil {
				return err
			}
			defer done()
			state := h.Writer.State()
			fmt.Fprintf(c.OutOrStdout(), s.say("%s (%s) is up at %s, %d entries in its ledger\n", "%s (%s)가 %s 에서 시작되었습니다. 원장 항목 %d개\n"),
				state.Identity.Name, state.Identity.Country, h.URL(), state.Seq)
			fmt.Fprintf(c.OutOrStdout(), s.say("pages: %s\n", "웹 페이지: %s\n"), h.Link())
			err = h.Serve(c.Context())
			running := 0
			for _, j := range h.Writer.State().Jobs.Live.All() {
				if j.Alive() {
					running++
				}
			}
			if err = errors.Join(err, h.Close()); err == nil && running > 0 {
				fmt.Fprintf(c.OutOrStdout(), s.say("%d jobs go on without the centre; gaon up finds them again\n", "작업 %d개는 센터 없이 계속됩니다. gaon up 이 다시 찾습니다\n"), running)
			}
			return err
		}}
	s.centreFlags(c, &config)
	return c
}

// hiddenCommands are what a centre starts by itself.
func (s *settings) hiddenCommands() []*cobra.Command {
	return []*cobra.Command{
		{Use: "stage NAME", Short: "Do one stage of a factory run in the present folder", Hidden: true, Args: exactly("NAME"),
			RunE: func(c *cobra.Command, args []string) error { return stage.Run(c.Context(), args[0], ".") }},
		{Use: "supervise FOLDER", Short: "Watch over one attempt at a job", Hidden: true, Args: exactly("FOLDER"),
			Run: func(_ *cobra.Command, args []string) { os.Exit(local.Supervise(args[0])) }},
	}
}

// endpointOpen serves a signed model again.
func (s *settings) endpointOpen() *cobra.Command {
	body := api.NewEndpoint{}
	c := &cobra.Command{Use: "open MODEL", Short: "Serve a signed model", Args: exactly("MODEL"),
		Example: "  gaon endpoint open M41 --grant G9 --name gaon-mini",
		RunE: func(c *cobra.Command, args []string) error {
			setID(&body.Model, args[0])
			return s.post(c, "/endpoints", body, "gaon endpoint list, then gaon chat NAME")
		}}
	c.Flags().StringVar((*string)(&body.Grant), "grant", "", "the grant that pays")
	c.Flags().StringVar(&body.Name, "name", "", "what callers ask for (default: the model's name)")
	return c
}

func setID[ID ~string](id *ID, text string) { *id = ID(strings.TrimSpace(text)) }
