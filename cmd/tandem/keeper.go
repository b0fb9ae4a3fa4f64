package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tandem/health"
	"tandem/router/transport"
)

const (
	// keepRest is the time between two writes of what is known of hosts. All
	// hosts of a region can change within a moment, and each write waits for the
	// disk.
	keepRest = time.Second

	// keepAgain is how often what has not changed is written again, so that a
	// restart knows until when it was so: well below health.MemoryGood.
	keepAgain = 30 * time.Second

	// mostRestored is how many hosts the log lists after a restart.
	mostRestored = 50
)

// keeper keeps what was observed of hosts over restarts, a crash included. That
// is worth less than orders: what cannot be read or written changes how soon a
// host that is ill is found to be, and nothing else.
type keeper struct {
	log      *slog.Logger
	dir      string
	registry *health.Registry
	changed  chan struct{}

	kept   []health.Memory // in the file
	saved  int64           // when it was written last
	failed bool            // to write: said once
}

func newKeeper(n *node) *keeper {
	dir, _ := stateDir(n.cfg.StateDir, os.Getenv)
	return &keeper{log: n.log, dir: dir, registry: n.registry, changed: make(chan struct{}, 1)}
}

// wake has what is known written soon. It does not block.
func (k *keeper) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// restore gives the hosts the health that they had before a restart.
func (k *keeper) restore(now int64) {
	list, age, err := readHealth(k.dir, now, time.Now())
	if err != nil {
		k.log.Warn("what was known of hosts before the restart cannot be read and is left aside: all count as up until something is seen of them; the next change of a host writes the file anew",
			"file", k.path(), "error", err.Error())
		return
	}
	k.kept, k.saved = list, now
	restored := k.registry.Restore(list, age, now)
	for i, m := range restored {
		if i == mostRestored {
			k.log.Warn("more hosts are as they were before the restart", "not_shown", len(restored)-i)
			break
		}
		s := m.Status
		k.log.Warn("still "+s.State.String()+" after the restart, until probes and calls say otherwise",
			"host", m.Key.URI, "state", s.State.String(), "reason", s.Reason.String(),
			"since", time.Now().Add(time.Duration(s.Since-now)).UTC().Round(time.Second), "listener", m.Key.Listener)
	}
}

// run writes what changes, until ctx ends, and then how things stand.
func (k *keeper) run(ctx context.Context) {
	again := time.NewTicker(keepAgain)
	defer again.Stop()
	for ctx.Err() == nil {
		select {
		case <-k.changed:
		case <-again.C:
		case <-ctx.Done():
			continue
		}
		k.keep(transport.Now(), time.Now(), false)
		select {
		case <-time.After(keepRest):
		case <-ctx.Done():
		}
	}
	k.keep(transport.Now(), time.Now(), true)
}

// keep writes what is known at the time now, day in the time of day, if that has
// changed or was written long ago; last does without waiting so long. Hosts that
// were always up leave no file.
func (k *keeper) keep(now int64, day time.Time, last bool) {
	list := k.registry.Remember(now)
	old := last || now-k.saved >= int64(keepAgain)
	if slices.Equal(list, k.kept) && (len(list) == 0 || !old) {
		return
	}
	text, err := healthFileText(list, now, day)
	if err == nil {
		err = replaceFile(k.path(), text)
	}
	switch {
	case err == nil:
		if k.failed {
			k.log.Info("the health of hosts is kept again", "file", k.path())
		}
		k.kept, k.saved, k.failed = list, now, false
	case !k.failed:
		k.log.Warn("the health of hosts cannot be kept: after a restart calls find out anew which are down", "error", err.Error())
		k.failed = true
	}
}

func (k *keeper) path() string { return filepath.Join(k.dir, healthName) }
