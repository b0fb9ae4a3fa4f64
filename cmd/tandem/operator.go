package main

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/router"
	"tandem/router/transport"
)

// operator keeps what operators ordered of a node: it brings orders into force
// while calls run, and stores them, so that they outlive reloads and restarts.
type operator struct {
	node *node
	log  *slog.Logger

	mu    sync.Mutex // one change of orders or of the config at a time
	file  *ordersFile
	state atomic.Pointer[operatorState]
}

// operatorState is what is in force.
type operatorState struct {
	orders  catalog.Orders
	unsaved error // why a restart would have other orders; nil
}

// newOperator reads the orders that are kept. A state directory that cannot be
// used is no error before there is something to keep; orders that are there and
// cannot be read are one.
func newOperator(n *node) (*operator, error) {
	dir, _ := stateDir(n.cfg.StateDir, os.Getenv)
	file, orders, err := readOrders(dir)
	if err != nil {
		return nil, err
	}
	o := &operator{node: n, log: n.log, file: file}
	o.state.Store(&operatorState{orders: orders})
	return o, nil
}

// InForce returns the orders in force, and why a restart would have others; nil.
func (o *operator) InForce() (catalog.Orders, error) {
	s := o.state.Load()
	return s.orders, s.unsaved
}

// Change brings into force what change makes of the orders, one change after the
// other. After an error of it all stays as it is. What cannot be stored is in
// force all the same, and unsaved says why it will not last.
func (o *operator) Change(change func(*catalog.Catalog, catalog.Orders) (catalog.Orders, error)) (unsaved, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, _ := o.InForce()
	next, err := change(o.node.router.Catalog(), before)
	if err != nil {
		return nil, err
	}
	if !next.Equal(before) {
		if err := o.lay(next); err != nil {
			return nil, errors.Join(err, o.lay(before))
		}
	}
	o.save(next)
	_, unsaved = o.InForce()
	return unsaved, nil
}

// renamed is orders after changes of connectors: they follow those to their new
// names.
func renamed(orders catalog.Orders, changes []inventory.ConnectorChange) catalog.Orders {
	for _, c := range changes {
		if c.Before != nil && c.After != nil {
			orders = orders.Renamed(catalog.Subject{Kind: catalog.ConnectorKind, Name: c.Before.Name}, catalog.Subject{Kind: catalog.ConnectorKind, Name: c.After.Name})
		}
	}
	return orders
}

// lay brings orders into force.
func (o *operator) lay(orders catalog.Orders) error {
	r := o.node.router
	if err := r.SetOrders(transport.Now(), orders); err != nil {
		return err
	}
	return o.node.retarget()
}

// save stores orders that are in force, if they are not yet. mu is held.
func (o *operator) save(orders catalog.Orders) {
	was := o.state.Load()
	if was.unsaved == nil && orders.Equal(was.orders) {
		return
	}
	err := o.file.write(orders)
	o.state.Store(&operatorState{orders, err})
	switch {
	case err != nil:
		o.log.Error("the orders of operators are in force but cannot be kept: after a restart they are not", "error", err.Error())
	case was.unsaved != nil:
		o.log.Info("the orders of operators are kept again", "file", o.file.path)
	}
}

// policy is what of a config the router can change, with the orders over it.
func (o *operator) policy(cfg *config.Config) router.Policy {
	p := policyOf(cfg)
	p.Catalog = o.node.locator.expand(cfg)
	p.Orders, _ = o.InForce()
	p.KeepNumbers = o.node.managed != nil // they change one by one
	return p
}

// tell reminds of the orders, after the config was read again.
func (o *operator) tell() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remind(o.node.router.Catalog())
}

// remind tells of the orders in force, and of those whose subject the catalog
// does not have: they wait until it has. It tries again to store what could not
// be stored. mu is held, or nobody else is there yet.
func (o *operator) remind(c *catalog.Catalog) {
	orders, _ := o.InForce()
	o.save(orders)
	var inForce []string
	for _, order := range orders.List() {
		if c.Has(order.Subject) {
			inForce = append(inForce, order.Subject.String()+" is "+order.String())
			continue
		}
		o.log.Warn("an order is for a "+order.Subject.Kind.String()+" that the config does not have: it waits until there is one again",
			"name", order.Subject.Name, "order", order.String(), "take_back", takeBack(order.Subject))
	}
	if len(inForce) > 0 {
		o.log.Info("orders of operators are in force", "orders", inForce)
	}
}

// takeBack is the command that ends an order.
func takeBack(s catalog.Subject) string {
	if s.Kind == catalog.RegionKind {
		return "tandem region restore " + s.Name
	}
	name := s.Name
	if strings.Contains(name, ";") {
		name = "'" + name + "'" // a shell ends a command there
	}
	return "tandem " + s.Kind.String() + " enable " + name
}
