package router

import (
	"math/rand/v2"
	"time"

	"tandem/config/catalog"
)

// simOrder is an order of an operator, and when it is given and taken back.
type simOrder struct {
	catalog.Order
	after, back time.Duration
}

// drawOrders draws with numbers of its own, so that worlds are what they were
// without them.
func (s *simSettings) drawOrders() {
	random := rand.New(rand.NewPCG(s.number, 0x6f72646572))
	if random.Float64() >= 0.35 || s.without&simOrders != 0 {
		return
	}
	s.on |= simOrders
	for range 1 + random.IntN(4) {
		catalogs := []*catalog.Catalog{s.catalog, s.second}
		c := catalogs[random.IntN(2)]
		con := &c.Connectors[random.IntN(len(c.Connectors))]
		o := simOrder{
			Order: catalog.Order{State: pick(random, catalog.Draining, catalog.Disabled), At: time.Unix(1, 0)},
			after: time.Duration(random.Int64N(int64(s.over))),
		}
		switch random.IntN(3) {
		case 0:
			o.Subject = catalog.Subject{Kind: catalog.ConnectorKind, Name: con.Name}
		case 1:
			o.Subject, o.State = catalog.Subject{Kind: catalog.RegionKind, Name: con.Region}, catalog.Draining
		default:
			o.Subject = con.Hosts[random.IntN(len(con.Hosts))].Subject()
		}
		o.back = o.after + time.Duration(random.Int64N(int64(s.over)))
		s.orders = append(s.orders, o)
	}
}

// setOrders brings orders into force at all nodes. Calls under way go on as they
// began.
func (w *simWorld) setOrders(orders catalog.Orders) {
	w.orders = orders
	w.trace.note(w, nil, "orders: %v", orders.List())
	for _, n := range w.nodes {
		if err := n.r.SetOrders(w.now, orders); err != nil {
			panic(err)
		}
	}
}

// outByOrder is what orders mean for a host of con.
func outByOrder(orders catalog.Orders, con *catalog.Connector, h *catalog.Host) bool {
	for _, o := range orders.List() {
		switch o.Subject {
		case catalog.Subject{Kind: catalog.RegionKind, Name: con.Region},
			catalog.Subject{Kind: catalog.ConnectorKind, Name: con.Name},
			h.Subject():
			return true
		}
	}
	return false
}

// ordered reports whether an order was in force for h when the call began.
func (v *simView) ordered(h *simHost) bool {
	return outByOrder(v.orders, h.con, &catalog.Host{Addr: h.addr})
}
