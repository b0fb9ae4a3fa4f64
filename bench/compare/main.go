// Command compare measures what tandem and its peers spend on the same calls,
// in blocks that take turns, and writes the numbers under results. See
// bench/README.md for the method.
//
// It places calls on loopback addresses 127.88.0.x only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"tandem/bench/load"
	"tandem/bench/peer"
)

func main() {
	log.SetFlags(0)
	s, err := parse(os.Args[1:])
	if err != nil {
		log.Fatal("compare: ", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		log.Fatal("compare: ", err)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if err := ready(s); err != nil {
		return err
	}
	alone, err := net.Listen("tcp4", net.JoinHostPort(callerIP, "65000"))
	if err != nil {
		return fmt.Errorf("is another comparison running on this machine? %w", err)
	}
	defer func() { _ = alone.Close() }()
	if s.Work, err = os.MkdirTemp("", "tandem-compare-"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			_ = os.RemoveAll(s.Work)
		} else {
			log.Printf("logs are in %s", s.Work)
		}
	}()
	if s.Bench, err = filepath.Abs(s.Bench); err != nil {
		return err
	}
	r := results{About: describeRun(s)}
	ses := &session{settings: s, out: os.Stdout, progress: newProgress(s.plan())}
	if err := ses.measure(ctx, &r); err != nil {
		return err
	}
	return report(os.Stdout, s, r)
}

// ready says what is missing.
func ready(s settings) error {
	if runtime.NumCPU() < 2 {
		return errors.New("needs two CPUs: one for the proxy, one for the load")
	}
	needs := map[string]string{"taskset": "util-linux"}
	if slices.Contains(s.stages(), "sipp") || s.has("transports") {
		needs["sipp"] = "sip-tester"
	}
	proxies := s.Proxies
	if s.has("transports") {
		proxies = slices.Concat(proxies, s.over(transports...).Proxies)
	}
	for _, name := range proxies {
		for program, in := range peer.Needs(name) {
			needs[program] = in
		}
	}
	for program, in := range needs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed. Run: apt-get install -y %s", program, in)
		}
	}
	return nil
}

// session is a run of everything.
type session struct {
	settings
	proxies  []*peer.Proxy
	out      io.Writer
	progress *progress
}

// loader places calls through a proxy and measures it.
type loader interface {
	name() string
	block(ctx context.Context, p target, rate int) (block, error)
	close()
}

// measure takes one load after the other. Each begins with fresh proxies, all
// of which run all the time, so that none pays for its start.
func (s *session) measure(ctx context.Context, r *results) error {
	for _, name := range s.stages() {
		if err := s.stage(ctx, name, r); err != nil {
			return err
		}
	}
	if s.has("transports") {
		var err error
		r.Transports, err = s.transports(ctx)
		return err
	}
	return nil
}

func (s *session) stage(ctx context.Context, name string, r *results) error {
	say(s.out, "%s: starting\n", aboutLoad(name))
	var placer loader
	var own *ownLoad
	var err error
	if name == "sipp" {
		placer, err = newSIPpLoad(ctx, s.settings, load.UDP)
	} else {
		own, err = newOwnLoad(s.settings, load.Config{Transport: load.UDP})
		placer = own
	}
	if err != nil {
		return err
	}
	defer placer.close()
	defer s.stop()
	if err := s.start(ctx); err != nil {
		return err
	}
	if s.has("cpu") && slices.Contains(s.Loads, name) {
		c, err := s.curve(ctx, placer)
		if err != nil {
			return err
		}
		r.Curves = append(r.Curves, c)
	}
	if own == nil {
		return nil
	}
	if s.has("saturation") {
		if r.Saturation, err = s.saturate(ctx, own); err != nil {
			return err
		}
	}
	if s.has("latency") {
		if r.Latency, err = s.latencies(ctx, own, r.Saturation); err != nil {
			return err
		}
	}
	if s.has("orders") {
		r.Orders, err = s.orders(ctx, own, r.Saturation)
	}
	return err
}

// settling is how long probes may take to find the connectors.
const settling = 12 * time.Second

func (s *session) start(ctx context.Context) error {
	for _, name := range s.Proxies {
		p, err := peer.StartProxy(ctx, s.peer(), name)
		if err != nil {
			return err
		}
		s.proxies = append(s.proxies, p)
	}
	return sleep(ctx, settling)
}

func (s *session) stop() {
	for _, p := range s.proxies {
		p.Stop()
	}
	s.proxies = nil
}

// target is a proxy that is measured, and the processes of those that are not.
type target struct {
	*peer.Proxy
	others []int
}

func (s *session) target(name string) (t target) {
	for _, p := range s.proxies {
		switch {
		case p.Name == name:
			t.Proxy = p
		case p.Process != nil && p.Running():
			t.others = append(t.others, p.PID())
		}
	}
	return t
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
