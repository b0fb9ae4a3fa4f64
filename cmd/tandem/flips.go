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
	queue   chan flip
	skipped atomic.Int64
}

// flip is a change of a host, or of a region when that is not nil.
type flip struct {
	host   health.Flip
	region *health.RegionFlip
}

func newFlips() *flips { return &flips{queue: make(chan flip, flipRoom)} }

// offerHost is health.Options.OnFlip.
func (f *flips) offerHost(h health.Flip) { f.offer(flip{host: h}) }

// offerRegion is health.Options.OnRegion.
func (f *flips) offerRegion(r health.RegionFlip) { f.offer(flip{region: &r}) }

func (f *flips) offer(one flip) {
	select {
	case f.queue <- one:
	default:
		f.skipped.Add(1)
	}
}

// run logs changes until ctx ends, then those that are left.
func (f *flips) run(ctx context.Context, log *slog.Logger, hosts func() []router.HostInfo) {
	for {
		select {
		case one := <-f.queue:
			f.write(log, one, hosts())
		case <-ctx.Done():
			for len(f.queue) > 0 {
				f.write(log, <-f.queue, hosts())
			}
			return
		}
	}
}

func (f *flips) write(log *slog.Logger, one flip, hosts []router.HostInfo) {
	if one.region != nil {
		writeRegion(log, one.region)
		return
	}
	flip, level := one.host, slog.LevelWarn
	if flip.To <= health.Recovering {
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

func writeRegion(log *slog.Logger, r *health.RegionFlip) {
	if r.Unhealthy {
		log.Warn("region is unhealthy: calls go to others first", "region", r.Region, "reason", r.Reason())
		return
	}
	log.Info("region is healthy", "region", r.Region, "reason", r.Reason())
}
