package main

import (
	"context"
	"log/slog"
	"sync/atomic"

	"tandem/admin"
	"tandem/health"
	"tandem/router"
)

// flipRoom is how many changes of health may wait to be told. All hosts of a
// large region can change within a moment.
const flipRoom = 1024

// flips carries changes of health from whoever saw them, who must not wait, to
// the log and to those who listen to events.
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

// run tells of changes until ctx ends, then of those that are left.
func (f *flips) run(ctx context.Context, log *slog.Logger, events *admin.Events, hosts func(health.Key) []router.HostInfo) {
	tell := func(one flip) {
		notShown := int(f.skipped.Swap(0))
		if one.region != nil {
			writeRegion(log, one.region, notShown)
			events.Region(one.region, notShown)
			return
		}
		hosts := hosts(one.host.Key)
		writeHost(log, &one.host, hosts, notShown)
		events.Host(&one.host, hosts, notShown)
	}
	for {
		select {
		case one := <-f.queue:
			tell(one)
		case <-ctx.Done():
			for len(f.queue) > 0 {
				tell(<-f.queue)
			}
			return
		}
	}
}

func writeHost(log *slog.Logger, flip *health.Flip, hosts []router.HostInfo, notShown int) {
	level := slog.LevelWarn
	if flip.To <= health.Recovering {
		level = slog.LevelInfo
	}
	host := router.HostInfo{URI: flip.Key.URI} // it may be gone from the config
	if len(hosts) > 0 {
		host = hosts[0] // one that two connectors share is named with the first
	}
	args := []any{
		"host", host.URI, "from", flip.From.String(), "to", flip.To.String(), "reason", flip.Reason.String(),
		"listener", flip.Key.Listener,
	}
	if host.Connector != "" {
		args = append(args, "connector", host.Connector, "region", host.Region)
	}
	log.Log(context.Background(), level, "host is "+flip.To.String(), withSkipped(args, notShown)...)
}

func writeRegion(log *slog.Logger, r *health.RegionFlip, notShown int) {
	args := withSkipped([]any{"region", r.Region, "reason", r.Reason()}, notShown)
	if r.Unhealthy {
		log.Warn("region is unhealthy: calls go to others first", args...)
		return
	}
	log.Info("region is healthy", args...)
}

// withSkipped adds how many changes before this one had no room to wait.
func withSkipped(args []any, notShown int) []any {
	if notShown > 0 {
		args = append(args, "not_shown", notShown)
	}
	return args
}
