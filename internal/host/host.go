// Package host is one running centre in one data folder: it opens ledger,
// store and engine, founds the centre if it is new, and runs writer,
// controllers, gateway, API and pages until it is told to stop.
//
// It decides nothing and shows nothing by itself; it only puts the parts
// together, and takes them apart in order.
//
// Begin with Open, then Host.Serve.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/controller"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/engine/local"
	"github.com/gaon-ai/gaon/internal/gateway"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/sealed"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/internal/portal"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// DefaultAddress is where a centre answers unless told otherwise: this machine
// alone.
const DefaultAddress = "127.0.0.1:7600"

// EngineName is the local engine's name, the first part of its nodes' ids.
const EngineName = "local"

// Config says which centre to run and how.
type Config struct {
	Dir     string // data folder, made if missing
	Address string // host:port to listen on; port 0 takes a free one
	Program string // path of this program, which jobs and supervisors run
	Version string
	Slots   int // CPU slots to offer; 0 is one for each processor
	Log     *slog.Logger

	// A new centre is founded with these; an old one keeps what it has.
	Name    string
	Country string // ISO 3166-1 alpha-2
	Site    string
}

// Host is a centre that is open.
type Host struct {
	Config
	Writer *writer.Writer
	Ledger *sqlite.Ledger
	Store  *folder.Store
	Seal   *sealed.Records
	Access Access // of the local user

	keys    keys
	engines map[string]engine.Engine
	local   *local.Engine
	gateway *gateway.Gateway
	portal  *portal.Portal
	server  *http.Server
	listens net.Listener
}

// Open opens the data folder, founds the centre if it is new, and begins to
// listen. Nothing runs yet.
func Open(ctx context.Context, c Config) (*Host, error) {
	if err := prepareFolder(c.Dir); err != nil {
		return nil, err
	}
	h := &Host{Config: c, engines: map[string]engine.Engine{}}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *Host) open(ctx context.Context) (err error) {
	if h.keys, err = loadKeys(h.Dir, h.Name); err != nil {
		return err
	}
	// The ledger comes first: its lock keeps a second server off the folder.
	if h.Ledger, err = sqlite.Open(ctx, sqlite.Config{Dir: LedgerFolder(h.Dir), Key: h.keys.ledger}); err != nil {
		return err
	}
	if h.listens, err = listen(h.Config.Address); err != nil {
		return err
	}
	if h.Store, err = folder.Open(filepath.Join(h.Dir, artifactFolder)); err != nil {
		return err
	}
	if h.Writer, err = writer.Open(ctx, writer.Config{Ledger: h.Ledger, Now: Now,
		Warn: func(err error) { h.Log.Warn("snapshot", "err", err) }}); err != nil {
		return err
	}
	h.Seal = sealed.New(h.Ledger)
	if err = h.found(ctx); err != nil {
		return err
	}
	h.local, err = local.Open(ctx, local.Config{Folder: filepath.Join(h.Dir, engineFolder), Store: h.Store, Program: h.Program,
		Country: h.Writer.State().Identity.Country, Slots: h.Slots, Hide: []string{h.Dir}})
	if err != nil {
		return err
	}
	h.engines[EngineName] = h.local
	return h.routes()
}

// Now is the present.
func Now() unit.Instant { return unit.Instant(time.Now().UnixMilli()) }

// listen takes the address, or says who is in the way.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &ledger.HintError{Err: fmt.Errorf("address %s is in use by another program", address),
			Hint: "stop that program, or choose another address: --address 127.0.0.1:0 takes a free port"}
	}
	if err != nil {
		return nil, &ledger.HintError{Err: fmt.Errorf("listen on %s: %w", address, err), Hint: "give --address HOST:PORT of this machine"}
	}
	return l, nil
}

// Limits of the HTTP server. Answers may stream for as long as they like.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	headerBytes   = 64 << 10
	closeTimeout  = 5 * time.Second
)

func (h *Host) routes() error {
	mux := http.NewServeMux()
	api.New(mux, api.Config{Writer: h.Writer, Ledger: h.Ledger, Store: h.Store, Engines: h.engines, Seal: h.Seal,
		Now: Now, Version: h.Version, Log: h.Log})
	h.gateway = gateway.New(gateway.Config{Writer: h.Writer, Engines: h.engines, Now: Now, Log: h.Log})
	h.gateway.Register(mux)
	var err error
	h.portal, err = portal.New(portal.Config{Writer: h.Writer, Ledger: h.Ledger, Store: h.Store, Engines: h.engines,
		Gateway: h.gateway, Now: Now, Version: h.Version, Log: h.Log})
	if err != nil {
		return err
	}
	h.portal.Register(mux)
	mux.HandleFunc("GET "+RevocationsPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := io.WriteString(w, Revocations); err != nil {
			h.Log.Debug("answer not sent", "err", err)
		}
	})
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
		ErrorLog: slog.NewLogLogger(h.Log.Handler(), slog.LevelDebug)}
	return nil
}

// Address is where the centre answers, as a URL.
func (h *Host) URL() string { return "http://" + h.listens.Addr().String() }

// Serve runs the centre until the context ends or something it cannot do
// without fails. Running jobs go on without it.
func (h *Host) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	for _, loop := range []func(context.Context){
		func(ctx context.Context) { controller.Schedule(ctx, h.Writer, h.Log) },
		func(ctx context.Context) { controller.Engine(ctx, h.Writer, EngineName, h.local, h.Log) },
		func(ctx context.Context) { controller.Endpoints(ctx, h.Writer, h.engines, h.Log) },
		func(ctx context.Context) { controller.Factory(ctx, h.Writer, h, h.Log) },
		func(ctx context.Context) { controller.Erase(ctx, h.Writer, h.Seal, h.Log) },
		h.gateway.Run,
		h.collectGarbage,
	} {
		group.Go(func() { loop(ctx) })
	}
	failed := make(chan error, 1)
	go func() { failed <- h.server.Serve(h.listens) }()
	var err error
	select {
	case <-ctx.Done():
	case <-h.Writer.Done():
		err = fmt.Errorf("the ledger cannot be written: %w", h.Writer.Err())
	case err = <-failed:
	}
	// Answer what was asked before the loops stop, so that nobody is left
	// without knowing what became of a command.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if late := h.server.Shutdown(closing); late != nil {
		h.Log.Warn("some answers were broken off", "err", late)
	}
	stop()
	group.Wait()
	return err
}

// Close saves a snapshot and gives everything back. It may be called after a
// failed Open.
func (h *Host) Close() error {
	var errs []error
	if h.listens != nil {
		if err := h.listens.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if h.Writer != nil {
		errs = append(errs, h.Writer.Close())
	}
	if h.local != nil {
		errs = append(errs, h.local.Close())
	}
	if h.Store != nil {
		errs = append(errs, h.Store.Close())
	}
	if h.Ledger != nil {
		errs = append(errs, h.Ledger.Close())
	}
	return errors.Join(errs...)
}

// Link is an address that lets the local user into the pages, once.
func (h *Host) Link() string { return h.URL() + h.portal.Ticket(h.person()) }
