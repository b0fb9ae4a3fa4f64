package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/number"
	"tandem/config/store"
	"tandem/router"
	"tandem/router/transport"
)

// managed is the store of a node and who manages what is in it: connectors,
// groups and numbers change while calls run.
type managed struct {
	node  *node
	store *store.Bolt
	*manage.Manager
}

// openStore opens the store of a config; nil when it has none.
func openStore(n *node) (*managed, error) {
	if n.cfg.Store == (config.Store{}) {
		return nil, nil
	}
	path, err := storePath(n.cfg)
	if err != nil {
		return nil, err
	}
	bolt, err := store.Open(path, store.Options{})
	if err != nil {
		return nil, exitError{exitConfig, fmt.Errorf("%s: store.path: %w", n.cfg.File, err)}
	}
	m := &managed{node: n, store: bolt}
	m.Manager, err = manage.Open(context.Background(), manage.Options{
		Store: bolt, Quotas: m.quotas, Prepare: m.prepare, Refill: m.refill, Now: time.Now, Log: n.log,
	})
	if err != nil {
		return nil, errors.Join(err, bolt.Close())
	}
	return m, nil
}

// storePath is where the store of a config is.
func storePath(cfg *config.Config) (string, error) {
	if filepath.IsAbs(cfg.Store.Path) {
		return cfg.Store.Path, nil
	}
	dir, err := stateDir(cfg.StateDir, os.Getenv)
	if err != nil {
		return "", exitError{exitConfig, fmt.Errorf("%s: store.path: the state directory %s cannot be used: %w; set state_dir to one that can be written, or write an absolute path", cfg.File, dir, err)}
	}
	return filepath.Join(dir, cfg.Store.Path), nil
}

// close frees the store; m may be nil.
func (m *managed) close() error {
	if m == nil {
		return nil
	}
	return m.store.Close()
}

// with returns what a node of a config routes by, m or no m.
func (m *managed) with(cfg *config.Config) (*config.Config, error) {
	if m == nil {
		return cfg, nil
	}
	return cfg.WithInventory(m.Snapshot())
}

// quotas are those of the config in force.
func (m *managed) quotas() inventory.Quotas {
	q := m.node.reload.config().Quotas
	return inventory.Quotas{Groups: q.Groups, ConnectorsPerGroup: q.ConnectorsPerGroup}
}

// prepare refuses what the node could not run by. To bring a change into force is
// to bring connectors and groups into force first, so that numbers find their
// owners.
func (m *managed) prepare(c *inventory.Change, s *inventory.Snapshot) (apply func() error, err error) {
	if len(c.Connectors) == 0 && len(c.Groups) == 0 {
		return func() error { return m.applyNumbers(c, s) }, nil
	}
	cfg, err := m.node.reload.config().WithInventory(s)
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := m.node.route(routing{cfg: cfg, changed: c.Connectors}); err != nil {
			return err
		}
		return m.applyNumbers(c, s)
	}, nil
}

// refill brings all that the store holds into force.
func (m *managed) refill(s *inventory.Snapshot) error {
	cfg, err := m.node.reload.config().WithInventory(s)
	if err != nil {
		return err
	}
	return m.node.route(routing{cfg: cfg, numbers: storedNumbers{m, m.node.log}})
}

// applyNumbers gives numbers to their owners, one by one and each at once.
func (m *managed) applyNumbers(c *inventory.Change, s *inventory.Snapshot) error {
	now, r := transport.Now(), m.node.router
	given := make(map[router.Owner][]number.Key)
	var gone []number.Key
	spans := false
	for _, one := range c.Numbers {
		switch {
		case one.After == nil && one.Before.Entry.Kind == catalog.Exact:
			gone = append(gone, one.Before.Entry.First)
		case one.After != nil && one.After.Entry.Kind == catalog.Exact:
			o := routerOwner(one.After.Owner)
			given[o] = append(given[o], one.After.Entry.First)
		default:
			spans = true
		}
	}
	var errs []error
	if spans {
		all := make([]router.Owned, 0, len(s.Spans))
		for _, n := range s.Spans {
			all = append(all, router.Owned{Entry: n.Entry, Owner: routerOwner(n.Owner)})
		}
		errs = append(errs, r.SetSpans(now, all))
	}
	for o, keys := range given {
		errs = append(errs, r.Assign(now, o, keys...))
	}
	if len(gone) > 0 {
		r.Release(gone...)
	}
	return errors.Join(errs...)
}

// routerOwner is an owner as the router knows it.
func routerOwner(o inventory.Owner) router.Owner {
	switch o.Kind {
	case inventory.ConnectorOwner:
		return router.Owner{Connector: o.ID}
	case inventory.GroupOwner:
		return router.Owner{Group: o.ID}
	}
	return router.Owner{}
}

// storedNumbers are all numbers of a store, for a node that starts, or that does not
// know what has changed.
type storedNumbers struct {
	managed *managed
	log     *slog.Logger
}

func (s storedNumbers) Count() (n int) {
	for _, count := range s.managed.Snapshot().Counts {
		n += count
	}
	return n
}

// errEnough ends a reading that nobody goes on with.
var errEnough = errors.New("enough")

// readingEvery is how often a long reading of numbers is logged.
const readingEvery = time.Second

func (s storedNumbers) All() iter.Seq2[router.Owned, error] {
	return func(yield func(router.Owned, error) bool) {
		read, told := 0, time.Now()
		err := s.managed.Each(context.Background(), func(n inventory.Number) error {
			if read++; read%(1<<16) == 0 && time.Since(told) > readingEvery {
				told = time.Now()
				s.log.Info("reading numbers of the store", "numbers", read, "of", s.Count())
			}
			if !yield(router.Owned{Entry: n.Entry, Owner: routerOwner(n.Owner)}, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(router.Owned{}, err)
		}
	}
}
