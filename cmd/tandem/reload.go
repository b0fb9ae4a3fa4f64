package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tandem/admin"
	"tandem/config"
	"tandem/config/inventory"
	"tandem/router"
	"tandem/router/transport"
)

// watchAgain is how long a watch that ended rests.
const watchAgain = 2 * time.Second

// mostChanges is how many changes of one reload the log lists.
const mostChanges = 50

// reloader brings new contents of the config file into force while calls run. A
// file that is wrong changes nothing.
type reloader struct {
	node *node
	log  *slog.Logger
	asks chan string // what asked for a reload

	mu    sync.Mutex
	cfg   *config.Config // in force
	state admin.Reloads
}

func newReloader(n *node) *reloader {
	return &reloader{
		node: n, log: n.log, cfg: n.cfg,
		asks:  make(chan string, 1),
		state: admin.Reloads{OK: true, Last: time.Now()},
	}
}

// config is what is in force. It must not be changed.
func (r *reloader) config() *config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

func (r *reloader) stats() admin.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// ask has the file read soon. Any number of asks until then are one.
func (r *reloader) ask(why string) {
	select {
	case r.asks <- why:
	default:
	}
}

// run reloads when it is asked to, and when the file changes if the config
// wants that, until ctx ends. A node that drains stays as it is.
func (r *reloader) run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	if r.node.cfg.Reload.Watch {
		watching.Go(func() { r.watch(ctx) })
	}
	for {
		select {
		case why := <-r.asks:
			if r.node.router.Draining() {
				r.log.Warn("config not reloaded: the node is about to stop", "because", why)
				continue
			}
			r.node.notify.reloading()
			r.node.notify.ready(r.take(why))
		case <-ctx.Done():
			return
		}
	}
}

// watch asks for a reload each time that the file changes. What ends a watch
// (its directory is swapped for another) is tried again.
func (r *reloader) watch(ctx context.Context) {
	for told := ""; ctx.Err() == nil; {
		r.setWatched(true)
		err := config.Watch(ctx, r.node.cfg.File, r.config().Sum, func() { r.ask("the file changed") })
		if err == nil {
			return
		}
		r.setWatched(false)
		if err.Error() != told {
			told = err.Error()
			r.log.Warn("the config file cannot be watched: trying again; SIGHUP reloads it meanwhile", "every", watchAgain.String(), "error", told)
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
}

func (r *reloader) setWatched(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Watched = on
}

// take reads the file and brings it into force. It returns what came of it, in
// one line.
func (r *reloader) take(why string) string {
	began := time.Now()
	old := r.config()
	cfg, told, err := r.bring(old)
	// After the config, which may have given the files other names.
	r.certificates(why)
	if err != nil {
		return r.fail(why, old.File, err)
	}
	for _, w := range slices.Concat(cfg.Warnings, told) {
		r.log.Warn("config: "+w.Text, "file", w.File, "line", w.Line, "field", w.Field)
	}
	taken, waiting := []string{}, []string{}
	for _, c := range config.Diff(old, cfg) {
		if c.Restart {
			waiting = append(waiting, c.Text)
		} else {
			taken = append(taken, c.Text)
		}
	}
	args := []any{"file", old.File, "because", why, "ms", time.Since(began).Milliseconds(),
		"changes", len(taken), "changed", taken[:min(len(taken), mostChanges)]}
	if len(waiting) > 0 {
		r.log.Warn("config reloaded, but some of it needs a restart", append(args, "needs_restart", waiting)...)
		return "reloaded; some changes need a restart"
	}
	r.log.Info("config reloaded", args...)
	return "taking calls; config reloaded"
}

// bring reads the file and brings it into force. It returns what there is to
// tell of certificates although it is: of those that peers refuse, and of those that
// cannot be used in place of the ones in force.
func (r *reloader) bring(old *config.Config) (cfg *config.Config, told config.Errors, err error) {
	if cfg, err = loadLogged(old.File, r.log); err != nil {
		return nil, nil, err
	}
	next, err := config.UntilRestart(old, cfg)
	if err != nil {
		return nil, nil, err
	}
	mistakes, dates := examine(cfg, time.Now())
	r.node.streams.tellAgain()
	if err := r.node.apply(next); err != nil {
		return nil, nil, append(mistakes, config.Error{File: old.File, Text: err.Error()})
	}
	return cfg, slices.Concat(mistakes, dates), nil
}

// certificates has the files of certificates read again, which may be others
// under the same names, whatever has become of the config.
func (r *reloader) certificates(why string) {
	read, failed := r.node.streams.reload()
	switch {
	case len(failed) > 0:
		r.log.Error("certificates not read again: those before stay in use", "because", why, "mistakes", failed)
	case read > 0:
		r.log.Info("certificates read again", "because", why, "files", read)
	}
}

// took notes what is in force from now on.
func (r *reloader) took(cfg *config.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg = cfg
	r.state.Taken++
	r.state.OK, r.state.Last = true, time.Now()
}

// fail counts and tells of a file that could not be taken.
func (r *reloader) fail(why, file string, err error) string {
	r.mu.Lock()
	r.state.Failed++
	r.state.OK = false
	r.mu.Unlock()
	var mistakes []string
	var list config.Errors
	if errors.As(err, &list) {
		for _, e := range list {
			mistakes = append(mistakes, e.Error())
		}
	} else {
		mistakes = []string{err.Error()}
	}
	r.log.Error("config not reloaded: the one before stays in force", "file", file, "because", why, "mistakes", mistakes)
	return "taking calls; the changed config has mistakes and is not in force"
}

// apply brings cfg into force, with what the store holds if there is one: changes
// of that wait, so that none is decided by the config before.
func (n *node) apply(cfg *config.Config) error {
	if n.managed == nil {
		if err := n.route(routing{cfg: cfg}); err != nil {
			return err
		}
		n.reload.took(cfg)
		n.operator.tell()
		return nil
	}
	return n.managed.Frozen(func(s *inventory.Snapshot) error {
		whole, err := cfg.WithInventory(s)
		if err != nil {
			return fmt.Errorf("it does not suit what the store holds: %w", err)
		}
		if err := n.route(routing{cfg: whole}); err != nil {
			return err
		}
		n.reload.took(cfg)
		n.operator.tell()
		return nil
	})
}

// routing is what calls go by.
type routing struct {
	cfg     *config.Config // with the connectors and groups of the store, if there is one
	numbers router.Numbers // all that are managed; nil leaves them where they are
	changed []inventory.ConnectorChange
}

// route brings r into force, in one step for calls: those under way go on as they
// began, and what operators ordered stays, under the new name of a connector that
// was renamed. An error changes nothing.
func (n *node) route(r routing) (err error) {
	n.locator.learn(&r.cfg.Catalog)
	n.operator.mu.Lock()
	defer n.operator.mu.Unlock()
	defer func() {
		if err != nil {
			n.locator.settle(nil)
		} else {
			n.locator.settle(r.cfg)
		}
	}()
	now := transport.Now()
	before := *n.reload.config()
	before.Catalog = *n.router.Catalog()
	p := n.operator.policy(r.cfg)
	p.Orders = renamed(p.Orders, r.changed)
	if r.numbers != nil {
		p.KeepNumbers, p.Numbers = false, r.numbers
	}
	if err := n.router.SetPolicy(now, p); err != nil {
		return err
	}
	if err := n.retarget(); err != nil {
		err = errors.Join(err, n.router.SetPolicy(now, n.operator.policy(&before)))
		return errors.Join(err, n.retarget())
	}
	n.registry.Configure(r.cfg.Health, now)
	n.operator.save(p.Orders)
	return nil
}
