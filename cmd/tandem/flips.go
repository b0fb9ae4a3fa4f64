package main

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"tandem/health"
	"tandem/router"
)

// flipRoom is how many changes of health may wait for the log. All hosts of a
// large region can change within a moment.
const flipRoom = 1024

// flips carries changes of health from whoever saw them, who must not wait, to
// the log.
type flips struct {
	queue   chan health.Flip
	skipped atomic.Int64
}

func newFlips() *flips { return &flips{queue: make(chan health.Flip, flipRoom)} }

// offer is health.Options.OnFlip.
func (f *flips) offer(flip health.Flip) {
	select {
	case f.queue <- flip:
	default:
		f.skipped.Add(1)
	}
}

// run logs changes until ctx ends, then those that are left.
func (f *flips) run(ctx context.Context, log *slog.Logger, hosts func() []router.HostInfo) {
	for {
		select {
		case flip := <-f.queue:
			f.write(log, flip, hosts())
		case <-ctx.Done():
			for len(f.queue) > 0 {
				f.write(log, <-f.queue, hosts())
			}
			return
		}
	}
}

func (f *flips) write(log *slog.Logger, flip health.Flip, hosts []router.HostInfo) {
	level := slog.LevelWarn
	if flip.To == health.Up {
		level = slog.LevelInfo
	}
	host := router.HostInfo{URI: flip.Key.URI} // it may be gone from the config
	if i := slices.IndexFunc(hosts, func(h router.HostInfo) bool { return h.Key == flip.Key }); i >= 0 {
		host = hosts[i] // one that two connectors share is named with the first
	}
	args := []any{
		"host", host.URI, "from", flip.From.String(), "to", flip.To.String(), "reason", flip.Reason.String(),
		"listener", flip.Key.Listener,
	}
	if host.Connector != "" {
		args = append(args, "connector", host.Connector, "region", host.Region)
	}
	if n := f.skipped.Swap(0); n > 0 {
		args = append(args, "not_shown", n)
	}
	log.Log(context.Background(), level, "host is "+flip.To.String(), args...)
}
