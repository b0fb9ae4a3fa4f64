package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tandem/bench/describe"
	"tandem/bench/node"
)

const (
	metricsAt = "127.92.0.1:9090"
	pause     = 2 * time.Second  // between the last message and a look
	lastTimer = 60 * time.Second // that calls may stay in memory after their answer: 32 s, and what the machine adds

	// A datagram of 40 kB takes a tenth of what sockets hold: long ones come slower.
	mostBytes = 20e6 // a second
)

// result is all that is measured.
type result struct {
	settings settings
	about    []string
	series   []series
}

// series is one tandem with one kind of calls.
type series struct {
	calls, body, invite int // how many, and bytes of each
	moments             []moment
	warnings            []string
}

// moment is what a tandem takes up, in bytes.
type moment struct {
	name     string
	live     int // calls in memory
	resident int64
	inUse    int64 // of Go's heap
	kept     int64 // idle memory that Go keeps for itself
	calls    int64 // room for calls
	buffers  int64 // buffers that wait to be used again
	recent   int64 // ended calls to look at
	cycles   int   // of Go's collector, since the start
}

func (s *series) measure(ctx context.Context, all settings, dir string) error {
	phones, err := newPhones(s.calls, s.body)
	if err != nil {
		return err
	}
	defer phones.close()
	s.invite = len(appendInvite(nil, s.calls-1, phones.sdp))
	rate := min(all.rate, mostBytes/float64(s.invite))
	progress("%s calls with an INVITE of %s bytes, %.0f a second", describe.Number(s.calls), describe.Number(s.invite), rate)

	config, err := writeConfig(dir)
	if err != nil {
		return err
	}
	n, err := node.Start(all.binary, config, -1)
	if err != nil {
		return err
	}
	defer n.Stop()
	if _, err := n.Wait(0, 30*time.Second, "serving"); err != nil {
		return err
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"before", func() error { return nil }},
		{"all ring", func() error { return phones.all(ctx, rings, rate) }},
		{"all are answered", func() error { return phones.all(ctx, answered, 2*rate) }},
		{"all have ended", func() error { return phones.all(ctx, ended, 2*rate) }},
		{"the last timer has ended", func() error { return s.forgotten(ctx) }},
		{fmt.Sprintf("%v later", all.settle), func() error { return sleep(ctx, all.settle) }},
	}
	for _, step := range steps {
		if err := errors.Join(step.do(), sleep(ctx, pause)); err != nil {
			return fmt.Errorf("%s: %w\n%s", step.name, err, n.Log())
		}
		m, err := look(n, step.name)
		if err != nil {
			return err
		}
		s.moments = append(s.moments, m)
		progress("%s: %s calls in memory, %s resident", m.name, describe.Number(m.live), describe.Megabytes(m.resident))
	}
	s.warnings = n.Warnings()
	return nil
}

// forgotten waits until no call is in memory.
func (s *series) forgotten(ctx context.Context) error {
	for limit := time.Now().Add(lastTimer); ; {
		all, err := node.Metrics(metricsAt)
		switch {
		case err != nil:
			return err
		case all["tandem_calls_live"] == 0:
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("%.0f calls are still in memory after %v", all["tandem_calls_live"], lastTimer)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// look takes the resident memory first: to be asked for metrics takes some.
func look(n *node.Node, name string) (moment, error) {
	resident, _, err := n.Memory()
	if err != nil {
		return moment{}, err
	}
	all, err := node.Metrics(metricsAt)
	if err != nil {
		return moment{}, err
	}
	for _, needed := range []string{"tandem_calls_live", "go_memstats_heap_inuse_bytes", `tandem_memory_bytes{kind="calls"}`, `tandem_memory_bytes{kind="free_buffers"}`, `tandem_memory_bytes{kind="recent_calls"}`} {
		if _, ok := all[needed]; !ok {
			return moment{}, fmt.Errorf("no metric %s", needed)
		}
	}
	of := func(metric string) int64 { return int64(all[metric]) }
	return moment{
		name: name, resident: resident, live: int(all["tandem_calls_live"]),
		inUse:   of("go_memstats_heap_inuse_bytes"),
		kept:    of("go_memstats_heap_idle_bytes") - of("go_memstats_heap_released_bytes"),
		calls:   of(`tandem_memory_bytes{kind="calls"}`),
		buffers: of(`tandem_memory_bytes{kind="free_buffers"}`),
		recent:  of(`tandem_memory_bytes{kind="recent_calls"}`),
		cycles:  int(all["go_gc_duration_seconds_count"]),
	}, nil
}

// writeConfig writes one without probes, and with patience: what is measured is
// calls, and not a connector that a busy machine kept waiting.
func writeConfig(dir string) (string, error) {
	path := filepath.Join(dir, "tandem.yaml")
	text := fmt.Sprintf(`listen: [udp://%s]
admin: off
metrics: {listen: %s}
state_dir: %s
trunks: [{name: load, sources: [127.0.0.0/8]}]
failover: {first_response: 30s, progress: 60s}
health: {probe: false, eject_after: off}
connectors: [{name: first, region: east, hosts: [{uri: "sip:%s"}]}]
groups: [{name: first, connectors: [{connector: first, priority: 1}], numbers: ["+1555*"]}]
`, proxy, metricsAt, dir, connector)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
