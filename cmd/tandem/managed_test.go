package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/number"
	"tandem/router/transport"
)

const withStore = "store: {path: tandem.db}\nhealth: {probe: false}\n"

// manages runs a node with a store, by a file.
type manages struct {
	*running
	t    *testing.T
	file *file
	dir  string // of its state
}

func newManages(t *testing.T, more string) *manages {
	t.Helper()
	m := &manages{t: t, file: newFile(t, withStore+more), dir: t.TempDir()}
	m.start()
	return m
}

func (m *manages) start() {
	m.t.Helper()
	cfg, err := config.Load(m.file.path)
	require.NoError(m.t, err)
	cfg.Listen[0].Addr = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Admin, cfg.Metrics, cfg.StateDir = "127.0.0.1:0", "", m.dir
	m.running = start(m.t, cfg)
}

// restart ends the node and starts another one with the same state.
func (m *manages) restart() {
	m.t.Helper()
	m.stop()
	m.kill()
	require.NoError(m.t, m.ended(m.t))
	m.start()
}

func (m *manages) edit(op manage.Operation) inventory.Change {
	m.t.Helper()
	c, err := m.managed.Edit(m.t.Context(), manage.Action{Who: "test", What: "test"}, op)
	require.NoError(m.t, err)
	return c
}

func (m *manages) connector(name string, hosts ...netip.AddrPort) inventory.Owner {
	m.t.Helper()
	spec := inventory.ConnectorSpec{Name: name, Region: "region of " + name}
	for _, h := range hosts {
		spec.Hosts = append(spec.Hosts, inventory.HostSpec{URI: "sip:" + h.String()})
	}
	c := m.edit(func(e *inventory.Editor) (inventory.Change, error) { return e.CreateConnector(spec) })
	return inventory.Owner{Kind: inventory.ConnectorOwner, ID: c.Connectors[0].After.ID}
}

func (m *manages) group(name string, connectors ...string) inventory.Owner {
	m.t.Helper()
	spec := inventory.GroupSpec{Name: name}
	for i, c := range connectors {
		spec.Connectors = append(spec.Connectors, inventory.Member{Connector: c, Priority: i + 1})
	}
	c := m.edit(func(e *inventory.Editor) (inventory.Change, error) { return e.CreateGroup(spec) })
	return inventory.Owner{Kind: inventory.GroupOwner, ID: c.Groups[0].After.ID}
}

func (m *manages) numbers(op manage.NumberOperation, texts ...string) {
	m.t.Helper()
	var entries []catalog.Entry
	for _, text := range texts {
		e, err := catalog.ParseEntry([]byte(text))
		require.NoError(m.t, err)
		entries = append(entries, e)
	}
	_, refused, err := m.managed.EditNumbers(m.t.Context(), manage.Action{Who: "test", What: "test"}, entries, op)
	require.NoError(m.t, err)
	require.Empty(m.t, refused)
}

func addTo(to inventory.Owner) manage.NumberOperation {
	return func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.AddNumbers(found, to)
	}
}

func assignTo(to inventory.Owner) manage.NumberOperation {
	return func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.AssignNumbers(found, to, true)
	}
}

// leads is the connectors that a call to a number would try, in their order.
func (m *manages) leads(number string) (connectors []string) {
	m.t.Helper()
	ex, err := m.router.Explain(number, "", transport.Now())
	require.NoError(m.t, err)
	for _, s := range ex.Steps {
		if s.Place > 0 {
			connectors = append(connectors, s.Connector)
		}
	}
	return connectors
}

func TestManagedNode(t *testing.T) {
	east, west, caller := newSIPSocket(t), newSIPSocket(t), newSIPSocket(t)
	m := newManages(t, "")
	require.Empty(t, m.leads("+15550000001"))
	owner := m.connector("east", east.addr())
	m.connector("west", west.addr())
	support := m.group("support", "east", "west")
	m.numbers(addTo(support), "+15550000001", "+15550000002", "+1555*")
	require.Equal(t, []string{"east", "west"}, m.leads("+15550000001"))
	require.Equal(t, []string{"east", "west"}, m.leads("+15551"))

	caller.send(m.udp.Addrs()[0], "INVITE", "+15550000001")
	east.expect("INVITE ")

	m.edit(func(e *inventory.Editor) (inventory.Change, error) {
		return e.SetPriorities("support", map[string]int{"west": 1, "east": 2})
	})
	require.Equal(t, []string{"west", "east"}, m.leads("+15550000001"), "seen at once")
	m.edit(func(e *inventory.Editor) (inventory.Change, error) {
		return e.UpdateGroup("support", inventory.GroupSpec{Name: "help", Connectors: []inventory.Member{{Connector: "west", Priority: 1}}})
	})
	require.Equal(t, []string{"west"}, m.leads("+15550000001"), "a rename keeps the numbers")
	require.Equal(t, []string{"west"}, m.leads("+15551"))

	m.numbers(assignTo(owner), "+15550000002")
	require.Equal(t, []string{"east"}, m.leads("+15550000002"))
	m.numbers(func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.UnassignNumbers(found, nil)
	}, "+15550000002")
	require.Empty(t, m.leads("+15550000002"), "unassigned, though a prefix of help's holds it")
	m.numbers(func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.RemoveNumbers(found)
	}, "+15550000002")
	require.Equal(t, []string{"west"}, m.leads("+15550000002"), "a number like any of the prefix")

	// Orders, reloads and restarts leave numbers where they are.
	m.numbers(addTo(owner), "+16660000001")
	m.numbers(addTo(inventory.Owner{}), "+15550000003")
	for what, again := range map[string]func(){
		"orders":  func() { require.NoError(t, m.operator.lay(catalog.Orders{})) },
		"reload":  func() { require.Contains(t, m.reload.take("test"), "reloaded") },
		"restart": m.restart,
	} {
		again()
		require.Equal(t, []string{"west"}, m.leads("+15550000001"), what)
		require.Equal(t, []string{"east"}, m.leads("+16660000001"), what)
		require.Equal(t, []string{"west"}, m.leads("+15551"), what)
		require.Empty(t, m.leads("+15550000003"), what)
	}
}

// What operators ordered of a connector is ordered of it under another name too.
func TestOrdersFollowARename(t *testing.T) {
	m := newManages(t, "")
	m.connector("east", netip.MustParseAddrPort("127.0.0.1:5061"))
	m.connector("west", netip.MustParseAddrPort("127.0.0.1:5062"))
	support := m.group("support", "east", "west")
	m.numbers(addTo(support), "+15550000001")
	east := catalog.Subject{Kind: catalog.ConnectorKind, Name: "east"}
	_, err := m.operator.Change(func(_ *catalog.Catalog, o catalog.Orders) (catalog.Orders, error) {
		return o.With(catalog.Order{Subject: east, State: catalog.Draining, At: time.Now().UTC().Truncate(time.Second)}), nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"west"}, m.leads("+15550000001"))
	m.edit(func(e *inventory.Editor) (inventory.Change, error) {
		c, err := e.Snapshot.Connector("east")
		if err != nil {
			return inventory.Change{}, err
		}
		spec := c.ConnectorSpec
		spec.Name = "north"
		return e.UpdateConnector("east", spec)
	})
	require.Equal(t, []string{"west"}, m.leads("+15550000001"))
	m.restart()
	require.Equal(t, []string{"west"}, m.leads("+15550000001"))
}

// What calls go by is what the store says again, whatever came between.
func TestManagedNodeRefills(t *testing.T) {
	m := newManages(t, "")
	owner := m.connector("east", netip.MustParseAddrPort("127.0.0.1:5061"))
	m.connector("west", netip.MustParseAddrPort("127.0.0.1:5062"))
	support := m.group("support", "west")
	m.numbers(addTo(support), "+15550000001", "+1555*")
	m.numbers(addTo(owner), "+15550000002")
	m.numbers(addTo(inventory.Owner{}), "+15550000003")
	require.NoError(t, m.router.SetSpans(transport.Now(), nil))
	require.NoError(t, m.router.Assign(transport.Now(), routerOwner(support), key(t, "+15550000002"), key(t, "+15550000003"), key(t, "+16660000001")))
	m.edit(func(e *inventory.Editor) (inventory.Change, error) {
		return e.SetPriorities("support", map[string]int{"west": 5})
	})
	require.Equal(t, []string{"west"}, m.leads("+15550000003"), "a change brings what it changes")

	require.NoError(t, m.managed.refill(m.managed.Snapshot()))
	require.Equal(t, []string{"west"}, m.leads("+15550000001"))
	require.Equal(t, []string{"west"}, m.leads("+15559"))
	require.Equal(t, []string{"east"}, m.leads("+15550000002"))
	require.Empty(t, m.leads("+15550000003"))
	require.Empty(t, m.leads("+16660000001"))
	m.numbers(assignTo(owner), "+15550000003")
	require.Equal(t, []string{"east"}, m.leads("+15550000003"), "and goes on from there")

	m.restart()
	n := inventory.Number{Entry: catalog.Entry{First: key(t, "+17770000001")}, Owner: support, Created: time.Now(), Updated: time.Now()}
	s := m.managed.Snapshot()
	_, err := m.managed.store.Commit(t.Context(), inventory.Change{Catalog: s.Revision, Numbers: []inventory.NumberChange{{After: &n}}})
	require.NoError(t, err)
	require.NoError(t, m.managed.refill(s))
	require.Equal(t, []string{"west"}, m.leads("+17770000001"), "though no number has changed here since the start")
}

func key(t *testing.T, text string) number.Key {
	t.Helper()
	k, ok := number.Parse([]byte(text))
	require.True(t, ok)
	return k
}

func TestManagedNodeRefusesWhatItCannotRunBy(t *testing.T) {
	m := newManages(t, "")
	m.connector("east", netip.MustParseAddrPort("127.0.0.1:5061"))
	_, err := m.managed.Edit(t.Context(), manage.Action{}, func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateConnector(inventory.ConnectorSpec{Name: "west", Listener: "inside"})
	})
	var r *inventory.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, "listener", r.Field)
	_, err = m.managed.Edit(t.Context(), manage.Action{}, func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateConnector(inventory.ConnectorSpec{Name: "west", Hosts: []inventory.HostSpec{{URI: "sip:[2001:db8::1]:5060"}}})
	})
	require.ErrorAs(t, err, &r)
	require.Equal(t, "hosts[0].uri", r.Field, "the node has no IPv6 listener")
	require.Len(t, m.router.Catalog().Connectors, 1)

	// A file that what is stored cannot do with is not taken, at a start neither.
	m.edit(func(e *inventory.Editor) (inventory.Change, error) {
		return e.UpdateConnector("east", inventory.ConnectorSpec{
			Name: "east", Region: "region of east", MaxCalls: 5, Health: json.RawMessage(`{"interval": "60s"}`),
			Hosts: []inventory.HostSpec{{URI: "sip:127.0.0.1:5061"}},
		})
	})
	m.file.write("store: {path: tandem.db}\nhealth: {max_detection: 20s}\n")
	m.reload.take("test")
	require.Contains(t, fmt.Sprint(m.lastLine(t, "config not reloaded: the one before stays in force")["mistakes"]), `health.interval: `)
	cfg, err := config.Load(m.file.path)
	require.NoError(t, err)
	m.stop()
	require.NoError(t, m.ended(t))
	cfg.Listen[0].Addr, cfg.StateDir = netip.MustParseAddrPort("127.0.0.1:0"), m.dir
	_, err = newNode(cfg, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "it does not suit what the store holds: health.interval: ")

	m.file.write(withStore)
	m.start()
	m.file.write(withStore + "quotas: {groups: 1}\n")
	m.reload.take("test")
	m.group("support")
	_, err = m.managed.Edit(t.Context(), manage.Action{}, func(e *inventory.Editor) (inventory.Change, error) {
		return e.CreateGroup(inventory.GroupSpec{Name: "sales"})
	})
	require.ErrorAs(t, err, &r)
	require.Equal(t, inventory.Quota, r.Reason, "the quotas of the file that was reloaded")
}

// Who moves the inventory from the file into a store has a node that reloads the
// file before it is started again.
func TestReloadOfAFileWithAStoreKeepsTheNumbers(t *testing.T) {
	east, caller := newSIPSocket(t), newSIPSocket(t)
	f := newFile(t, policy([]netip.AddrPort{east.addr()}, "health: {probe: false}\n"))
	r := f.start()
	f.write(withStore)
	r.reload.take("test")
	line := r.lastLine(t, "config reloaded, but some of it needs a restart")
	require.Contains(t, fmt.Sprint(line["needs_restart"]), "group support removed")
	require.NotContains(t, fmt.Sprint(line["changed"]), "removed")
	caller.send(r.udp.Addrs()[0], "INVITE", "+15550000001")
	east.expect("INVITE ")
}

func TestManagedNodeDoesNotStart(t *testing.T) {
	cfg := settings(t, netip.MustParseAddrPort("127.0.0.1:5061"))
	cfg.Catalog, cfg.Store = catalog.Catalog{}, config.Store{Path: "tandem.db"}
	require.NoError(t, os.WriteFile(filepath.Join(cfg.StateDir, "tandem.db"), []byte("not a store, but somebody's notes\n"), 0o600))
	_, err := newNode(cfg, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "test: store.path: ")
	require.Equal(t, exitConfig, err.(exitError).code)
	text, err := os.ReadFile(filepath.Join(cfg.StateDir, "tandem.db"))
	require.NoError(t, err)
	require.Equal(t, "not a store, but somebody's notes\n", string(text))

	m := newManages(t, "")
	cfg.StateDir = m.dir
	_, err = newNode(cfg, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "store.path", "two nodes have two stores")

	cfg.Store.Path, cfg.StateDir = "/dev/null/no/tandem.db", t.TempDir()
	_, err = newNode(cfg, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "store.path: ")
}
