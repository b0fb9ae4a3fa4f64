// Package admin is what operators and their tools see of a running node over
// HTTP: metrics, health, calls; where they order what it is to leave out; and
// where they manage connectors, groups and numbers. It decides nothing itself:
// package manage does, by the rules of package inventory.
//
//	/metrics  Prometheus
//	/healthz  200 while the process runs
//	/readyz   200 while it takes calls, 503 while it starts or drains
//	/calls    the newest calls whose set-up is over, or all as they end
//	/explain  the way that a call to a number would take now
//
//	GET  /v1/health                                       regions and hosts, and why they are as they are
//	GET  /v1/events                                       their changes, as they happen
//	GET  /v1/orders                                       what is ordered
//	POST /v1/regions/{name}/evacuate, restore
//	POST /v1/connectors/{name}/drain, disable, enable
//	POST /v1/hosts/{address}/drain, disable, enable
//
//	/v1/groups, /v1/connectors, /v1/numbers               what is managed, as openapi.json has it
//	GET /v1/export, POST /v1/import, GET /v1/backup       all of it
//	/voice-connectors, /voice-connector-groups, /phone-numbers, /phone-number-orders, /voice-connector-regions
//	                                                      the same for clients of the Amazon Chime SDK Voice API
//
// With keys, all but /healthz and /readyz is for those who have one. Without, it
// asks nobody, so the config keeps the admin address on loopback; the metrics
// address serves the first three alone and may be reached by others.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"tandem/config/manage"
	"tandem/router"
	"tandem/router/dns"
	"tandem/router/locate"
	"tandem/router/names"
	"tandem/router/transport"
	"tandem/router/transport/stream"
)

// Options are what a Server shows, and where.
type Options struct {
	Admin   string // host:port; "" for none
	Metrics string // host:port; "" for none

	Router          *router.Router
	Transport       func() []transport.WorkerStats
	Streams         func() []stream.Stats // nil: no listener of TCP or TLS
	Expiries        func() Expiries       // nil: none
	Listeners       []netip.AddrPort      // their names in metrics, by index
	Now             func() int64          // the router's clock
	StatePersistent bool                  // a restart has the same secret
	Version         string
	Detection       func() time.Duration // longest time until a silent host is down
	Names           func() names.Stats
	DNS             func() DNS
	Reloads         func() Reloads
	Operator        Operator        // takes orders
	Events          *Events         // what changes
	Keys            []Key           // who may use the admin address; none: this machine
	Manager         *manage.Manager // of connectors, groups and numbers; nil when they stand in a file
	Log             *slog.Logger
}

// Expiries are when certificates in use end, by their files, and whether those are
// what the files have.
type Expiries struct {
	Certificates map[string]time.Time // that the node shows
	Authorities  map[string]time.Time // the last of those in a file
	Read         map[string]bool      // false: the last reload could not, and what is in use is of before
}

// Reloads is how often the config was read again, and how the last time went.
type Reloads struct {
	Taken, Failed uint64
	Watched       bool      // a change of the file is seen
	OK            bool      // the file that was read last is in force
	Last          time.Time // when what is in force was read
}

// DNS is what is known of the names of hosts.
type DNS struct {
	Queries dns.Stats // for them and for names within dialogs
	Names   locate.Stats
	LeftOut int // servers that get no calls
}

// Server serves HTTP on up to two addresses.
type Server struct {
	ready   atomic.Bool
	admin   *site // nil for none
	metrics *site
}

// site is one address.
type site struct {
	listener net.Listener
	server   *http.Server
}

// Listen opens the addresses. Serve answers there.
func Listen(opts Options) (*Server, error) {
	registry := prometheus.NewRegistry()
	if err := register(registry, &opts); err != nil {
		return nil, err
	}
	s := &Server{}
	calls, events, access := newCallsPage(opts.Router), newEventsPage(opts.Events), newAccess(&opts)
	all := s.pages(registry, &opts, access, calls, events)
	var err error
	if s.admin, err = open("admin", opts.Admin, access.gate(all), opts.Log); err != nil {
		return nil, err
	}
	if s.admin != nil {
		access.loopback = loopbackHost(s.AdminAddr())
		s.admin.server.RegisterOnShutdown(calls.stop)
		s.admin.server.RegisterOnShutdown(events.stop)
	}
	public := http.NewServeMux()
	s.public(registry, &opts, public.Handle)
	if s.metrics, err = open("metrics", opts.Metrics, public, opts.Log); err != nil {
		return nil, errors.Join(err, s.admin.close())
	}
	return s, nil
}

// pages has all pages of the admin address.
func (s *Server) pages(registry *prometheus.Registry, opts *Options, access *access, calls, events http.Handler) *routes {
	all := &routes{mux: http.NewServeMux()}
	s.public(registry, opts, all.handle)
	all.handle("GET /calls", access.seeing(calls))
	all.handle("GET /explain", access.seeing(newExplainPage(opts)))
	all.handle("GET /v1/health", access.seeing(newHealthPage(opts)))
	all.handle("GET /v1/events", access.seeing(events))
	newOrdersPage(opts).handle(all, access)
	managed := newManaged(opts, access)
	managed.handle(all)
	(&chime{managed}).handle(all)
	return all
}

// Times within which clients have to say and take what they want. A scrape is
// small; whoever is slower than this holds a connection for nothing.
const (
	headerTimeout = 5 * time.Second
	wholeTimeout  = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	shutdownGrace = time.Second
	maxHeader     = 16 << 10 // bytes
)

func open(name, addr string, handler http.Handler, log *slog.Logger) (*site, error) {
	if addr == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       wholeTimeout,
		WriteTimeout:      wholeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
	}
	if log != nil {
		server.ErrorLog = slog.NewLogLogger(log.With("part", name).Handler(), slog.LevelWarn)
	}
	return &site{listener, server}, nil
}

// public has the pages of both addresses.
func (s *Server) public(registry *prometheus.Registry, opts *Options, handle func(pattern string, h http.Handler)) {
	handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	handle("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") }))
	handle("GET /readyz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.ready.Load():
			say(w, http.StatusOK, "ready")
		case opts.Router.Draining():
			say(w, http.StatusServiceUnavailable, "draining")
		default:
			say(w, http.StatusServiceUnavailable, "starting")
		}
	}))
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) // the client is gone: nobody to tell
}

// SetReady says whether the node takes calls.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// AdminAddr is the admin address as it was bound, "" for none.
func (s *Server) AdminAddr() string { return s.admin.addr() }

// MetricsAddr is the address for metrics alone as it was bound, "" for none.
func (s *Server) MetricsAddr() string { return s.metrics.addr() }

// Serve answers until ctx ends, then ends those who follow calls or events and lets other
// requests under way finish, for a second. The error is of an address that failed.
func (s *Server) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, site := range []*site{s.admin, s.metrics} {
		if site == nil {
			continue
		}
		group.Go(func() error {
			if err := site.server.Serve(site.listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
			defer cancel()
			if site.server.Shutdown(grace) != nil {
				_ = site.server.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

// Close frees the addresses of a Server that does not Serve.
func (s *Server) Close() error { return errors.Join(s.admin.close(), s.metrics.close()) }

func (s *site) addr() string {
	if s == nil {
		return ""
	}
	return s.listener.Addr().String()
}

func (s *site) close() error {
	if s == nil {
		return nil
	}
	return s.listener.Close()
}
