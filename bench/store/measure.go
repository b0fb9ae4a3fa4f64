package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tandem/bench/describe"
	"tandem/bench/load"
	"tandem/bench/node"
)

var (
	proxy      = netip.MustParseAddrPort("127.91.0.1:5060")
	caller     = netip.MustParseAddrPort("127.91.0.2:0")
	connectors = []netip.AddrPort{east: netip.MustParseAddrPort("127.91.0.11:5060"), west: netip.MustParseAddrPort("127.91.0.12:5060"), fewOwn: netip.MustParseAddrPort("127.91.0.13:5060")}
)

const (
	admin   = "127.91.0.1:8080"
	slowest = 5 * time.Minute // that a start or an answer may take
)

// result is all that is measured, in the order of measurement.
type result struct {
	settings settings
	about    []string

	filling
	cold, warm start // with the store's file in the kernel's cache, and not
	lists      []list
	busyLists  []list // under calls

	imports, moves, backs []round
	assigns, rankings     times
	rankedRight           int // times that the next call went the new way
	memory                []memory

	windows []load.Report
	calls   calls
	said    []string // warnings and errors in the log
}

// start is how tandem started.
type start struct {
	serving  time.Duration // to the log line
	answered time.Duration // to the end of the first call that got through
	memory
}

// memory is resident, in bytes.
type memory struct {
	when      string
	now, peak int64
}

// round is one change of many numbers.
type round struct {
	took    time.Duration
	answers times
}

func (r *result) measureAll(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "tandem-store-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := r.settings.binary
	if binary == "" {
		if binary, err = node.Build(dir); err != nil {
			return err
		}
	}
	return r.measure(ctx, dir, binary)
}

func (r *result) measure(ctx context.Context, dir, binary string) (err error) {
	s := r.settings
	progress("filling a store with %s numbers", describe.Number(s.numbers))
	path := filepath.Join(dir, "tandem.db")
	if r.filling, err = fill(ctx, path, s.numbers); err != nil {
		return err
	}
	progress("filled in %v: %s", round10(r.took), describe.Megabytes(r.size))
	config, err := writeConfig(dir, path)
	if err != nil {
		return err
	}
	if err := evict(path); err != nil {
		return err
	}
	d := newDialer(s)
	g, err := load.New(load.Config{Proxy: proxy, From: caller, Connectors: connectors, Number: d.number, Reached: d.reached})
	if err != nil {
		return err
	}
	defer g.Close() // connectors answer probes until then
	n, err := r.start(ctx, g, binary, config, &r.cold)
	if err != nil {
		return err
	}
	n.Stop()
	if n, err = r.start(ctx, g, binary, config, &r.warm); err != nil {
		return err
	}
	defer n.Stop()

	a := newAPI(admin)
	progress("reading pages")
	if r.lists, err = readLists(ctx, a, s, s.pages); err != nil {
		return err
	}
	return r.call(ctx, &story{result: r, generator: g, dialer: d, node: n, api: a})
}

func writeConfig(dir, store string) (string, error) {
	path := filepath.Join(dir, "tandem.yaml")
	text := fmt.Sprintf(`listen: [udp://%s]
admin: {listen: %s}
state_dir: %s
store: {path: %s}
trunks: [{name: load, sources: [127.0.0.0/8]}]
`, proxy, admin, dir, store)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// evict has the kernel forget what it has in memory of a file.
func evict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
}

// start starts tandem under calls, to see when the first one gets through.
func (r *result) start(ctx context.Context, g *load.Generator, binary, config string, s *start) (*node.Node, error) {
	first, enough := context.WithTimeout(ctx, slowest)
	defer enough()
	var n *node.Node
	began := time.Now()
	answered, err := g.FirstCall(first, func() (err error) {
		if n, err = node.Start(binary, config, -1); err == nil {
			go func() {
				if _, err := n.Wait(0, slowest, "serving"); err != nil {
					enough()
				}
			}()
		}
		return err
	})
	if n == nil {
		return nil, err
	}
	line, logged := n.Wait(0, time.Second, "serving")
	if err = errors.Join(err, logged); err == nil {
		s.answered, s.serving = answered, line.At.Sub(began)
		s.memory, err = memoryOf(n, "")
	}
	if err != nil {
		n.Stop()
		return nil, err
	}
	progress("serving after %v, first call through after %v", round10(s.serving), round10(s.answered))
	return n, nil
}

func memoryOf(n *node.Node, when string) (memory, error) {
	now, peak, err := n.Memory()
	return memory{when, now, peak}, err
}

// call places calls through all windows.
func (r *result) call(ctx context.Context, s *story) error {
	calling, enough := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- s.generator.Run(calling, r.settings.rate, 0) }()
	err := s.tell(ctx)
	enough()
	progress("waiting for the last calls")
	if err := errors.Join(err, <-ran); err != nil {
		return err
	}
	for _, w := range s.windows {
		r.windows = append(r.windows, w.Report())
	}
	r.calls, r.said = s.dialer.counts(), s.node.Warnings()
	return nil
}

func round10(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
