package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// each yields numbers one by one, as a store does.
func each(numbers []inventory.Number) func(func(inventory.Number) error) error {
	return func(f func(inventory.Number) error) error {
		for _, n := range numbers {
			if err := f(n); err != nil {
				return err
			}
		}
		return nil
	}
}

func entryOf(t testing.TB, text string) catalog.Entry {
	t.Helper()
	e, err := catalog.ParseEntry([]byte(text))
	require.NoError(t, err)
	return e
}

func TestWriteInventory(t *testing.T) {
	s := &inventory.Snapshot{
		Connectors: []inventory.Connector{
			{Meta: inventory.Meta{ID: "c1"}, ConnectorSpec: inventory.ConnectorSpec{Name: "no"}},
			{Meta: inventory.Meta{ID: "c2"}, ConnectorSpec: inventory.ConnectorSpec{
				Name: "support-east", Region: "us-east-1", Number: "+e164", MaxCalls: 7,
				Hosts:    []inventory.HostSpec{{URI: "sip:10.0.0.1:5070;transport=udp", Priority: 1, Weight: 10}, {URI: "sip:10.0.0.2"}},
				Failover: json.RawMessage(`{"after_ringing":true,"codes":[503,500],"first_response":"1s","no_answer":"off"}`),
			}},
		},
		Groups: []inventory.Group{{Meta: inventory.Meta{ID: "g1"}, GroupSpec: inventory.GroupSpec{
			Name: "help desk", Connectors: []inventory.Member{{Connector: "support-east", Priority: 1}, {Connector: "no", Priority: 2}},
		}}},
	}
	owner := map[string]inventory.Owner{"c": {Kind: inventory.ConnectorOwner, ID: "c2"}, "g": {Kind: inventory.GroupOwner, ID: "g1"}, "-": {}}
	var numbers []inventory.Number
	for _, n := range []string{"112-", "0112g", "+15550000001g", "+15550000002c", "+15550000000g", "+15550001000-+15550001999g", "100-199g", "+1777*-", "+1778*c"} {
		numbers = append(numbers, inventory.Number{Entry: entryOf(t, n[:len(n)-1]), Owner: owner[n[len(n)-1:]]})
	}
	var b strings.Builder
	require.NoError(t, WriteInventory(&b, s, each(numbers)))
	require.Equal(t, `connectors:
  - name: "no"
  - name: support-east
    region: us-east-1
    hosts:
      - {uri: "sip:10.0.0.1:5070;transport=udp", priority: 1, weight: 10}
      - {uri: "sip:10.0.0.2"}
    number: "+e164"
    max_calls: 7
    failover: {after_ringing: true, codes: [503, 500], first_response: "1s", no_answer: "off"}
    numbers:
      - "+15550000002"
      - "+1778*"
groups:
  - name: "help desk"
    connectors:
      - {connector: support-east, priority: 1}
      - {connector: "no", priority: 2}
    numbers:
      - "0112"
      - "+15550000001"
      - "+15550000000"
      - "+15550001000-+15550001999"
      - "100-199"
numbers:
  - "112"
  - "+1777*"
`, b.String())
}

// specs with everything that a spec can have: none may be lost on the way.
func TestExportIsImported(t *testing.T) {
	var c inventory.Connector
	c.Meta = inventory.Meta{ID: "c1"}
	c.ConnectorSpec = inventory.ConnectorSpec{
		Name: "east 1", Region: "null", State: "draining", RequestURI: "keep", Number: "e164", Strip: "0x1F", Prepend: "+1", Listener: "1e3", Large: "tcp", UDPMTU: 1200, MaxCalls: 1, MaxCPS: 2,
		Hosts:    []inventory.HostSpec{{URI: "sip:[2001:db8::1]:5060;a=b", Priority: 100, Weight: 99, State: "disabled", MaxCalls: 3, MaxCPS: 4}, {URI: "sip:10.0.0.2"}},
		TLS:      json.RawMessage(`{"ca":"ca.pem","certificate":"both.pem","name":"sbc.example.com"}`),
		Failover: json.RawMessage(`{"after_ringing":false,"codes":[480],"exhausted_code":"best","max_attempts":3,"max_ring":"1m0.5s"}`),
		Health:   json.RawMessage(`{"down_codes":[],"eject_after":0,"interval":"10s"}`),
		Probe:    json.RawMessage(`{"from":"sip:a@b.example;x=%41","listener":"~","max_forwards":0}`),
	}
	requireFull(t, c.ConnectorSpec)
	requireFull(t, c.Hosts[0])
	g := inventory.Group{Meta: inventory.Meta{ID: "g1"}, GroupSpec: inventory.GroupSpec{
		Name: "123", Connectors: []inventory.Member{{Connector: "east 1", Priority: 99}},
		Failover: json.RawMessage(`{"progress":"3s"}`), Health: json.RawMessage(`{"probe":true}`),
	}}
	requireFull(t, g.GroupSpec)
	s := &inventory.Snapshot{Connectors: []inventory.Connector{c}, Groups: []inventory.Group{g}}
	var b bytes.Buffer
	require.NoError(t, WriteInventory(&b, s, each(nil)))
	im, err := ParseInventory("a.yaml", b.Bytes(), ImportOptions{})
	require.NoError(t, err, b.String())
	require.Equal(t, []inventory.ConnectorSpec{c.ConnectorSpec}, im.Connectors)
	require.Equal(t, []inventory.GroupSpec{g.GroupSpec}, im.Groups)
	require.Empty(t, im.Numbers)
	change, err := im.Change(&inventory.Editor{Snapshot: s})
	require.NoError(t, err)
	require.Equal(t, inventory.Change{}, change)
}

// requireFull requires every field of a struct to be set.
func requireFull(t *testing.T, v any) {
	t.Helper()
	for i := range reflect.ValueOf(v).NumField() {
		require.False(t, reflect.ValueOf(v).Field(i).IsZero(), reflect.TypeOf(v).Field(i).Name)
	}
}

// A hundred thousand numbers of many owners come back, each to its own.
func TestNumbersExportedAreImported(t *testing.T) {
	const owners, count = 50, 100_000
	random := rand.New(rand.NewPCG(1, 2))
	s := &inventory.Snapshot{}
	for i := range owners {
		s.Connectors = append(s.Connectors, inventory.Connector{Meta: inventory.Meta{ID: fmt.Sprint("c", i)}, ConnectorSpec: inventory.ConnectorSpec{Name: fmt.Sprintf("c%03d", i)}})
		s.Groups = append(s.Groups, inventory.Group{Meta: inventory.Meta{ID: fmt.Sprint("g", i)}, GroupSpec: inventory.GroupSpec{Name: fmt.Sprintf("g%03d", i)}})
	}
	want := make(map[string][]string)
	numbers := make([]inventory.Number, 0, count+2*owners)
	add := func(text string) {
		o, key := inventory.Owner{}, ""
		switch i := random.IntN(owners); random.IntN(3) {
		case 0:
			o, key = inventory.Owner{Kind: inventory.ConnectorOwner, ID: s.Connectors[i].ID}, "connector "+s.Connectors[i].Name
		case 1:
			o, key = inventory.Owner{Kind: inventory.GroupOwner, ID: s.Groups[i].ID}, "group "+s.Groups[i].Name
		}
		numbers = append(numbers, inventory.Number{Entry: entryOf(t, text), Owner: o})
		want[key] = append(want[key], text)
	}
	for i := range count {
		add(fmt.Sprintf([]string{"+1555%07d", "+49%09d", "%06d", "0%07d"}[i%4], i))
	}
	for i := range owners {
		add(fmt.Sprintf("+44%04d00-+44%04d99", i, i))
	}
	for i := range owners {
		add(fmt.Sprintf("+33%04d*", i))
	}
	var b bytes.Buffer
	require.NoError(t, WriteInventory(&b, s, each(numbers)))
	im, err := ParseInventory("a.yaml", b.Bytes(), ImportOptions{})
	require.NoError(t, err)
	for key := range want {
		slices.Sort(want[key])
	}
	require.Equal(t, want, imported(t, im))
}

// Nothing is written that is not the whole.
func TestWriteInventoryFails(t *testing.T) {
	var b strings.Builder
	broken := errors.New("broken")
	require.ErrorIs(t, WriteInventory(&b, &inventory.Snapshot{}, func(func(inventory.Number) error) error { return broken }), broken)
	gone := inventory.Number{Entry: entryOf(t, "+1"), Owner: inventory.Owner{Kind: inventory.GroupOwner, ID: "gone"}}
	require.EqualError(t, WriteInventory(&b, &inventory.Snapshot{}, each([]inventory.Number{gone})),
		`+1 belongs to group "gone", which is not there: the inventory has changed meanwhile; try again`)
	require.Empty(t, b.String())
	require.ErrorIs(t, WriteInventory(brokenWriter{broken}, &inventory.Snapshot{}, each(nil)), broken)
	bad := inventory.Group{GroupSpec: inventory.GroupSpec{Name: "a", Health: json.RawMessage(`{`)}}
	require.ErrorContains(t, WriteInventory(&b, &inventory.Snapshot{Groups: []inventory.Group{bad}}, each(nil)), `group "a" cannot be written`)
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// Whatever is imported is exported so that it is imported as the same.
func FuzzInventory(f *testing.F) {
	f.Add([]byte("connectors: [{name: a, hosts: ['sip:10.0.0.1'], health: {interval: 5s}, numbers: [1, 2-3, 4*]}]\nnumbers: [7]"))
	f.Add([]byte("groups: [{name: a, connectors: [{connector: b, priority: 1}], failover: {codes: 503}}]"))
	f.Add([]byte("connectors:\n- name: a\n  numbers:\n  - 12345\n  - 12346\n  - \"+12347\"\n  - 5\n  - 12348\n  - 12349\nnumbers:\n- 33333\n- 44444\n"))
	f.Add([]byte("groups:\n- name: |-\n    - 12345\n    - 12346\nworkers:\n- 12345\n- 12346\nnumbers: &a\n- 123456\n- 1234567\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := parseInventory("fuzz.yaml", data, ImportOptions{Env: testEnv}, 0)
		other, otherErr := parseInventory("fuzz.yaml", data, ImportOptions{Env: testEnv}, 2)
		require.Equal(t, err == nil, otherErr == nil, "%v / %v", err, otherErr)
		if err == nil {
			require.Equal(t, []any{im.Connectors, im.Groups, im.LeftAlone, im.lines, imported(t, im)},
				[]any{other.Connectors, other.Groups, other.LeftAlone, other.lines, imported(t, other)})
		}
		if err != nil {
			require.IsType(t, Errors{}, err)
			return
		}
		e := &inventory.Editor{Snapshot: &inventory.Snapshot{}, Now: time.Unix(0, 0)}
		c, err := im.Change(e)
		if err != nil {
			require.IsType(t, (*inventory.Refusal)(nil), err)
			return
		}
		s := e.Snapshot.With(c, 1)
		var numbers []inventory.Number
		for i := range im.Numbers {
			o := inventory.Owner{}
			switch n := &im.Numbers[i]; n.Owner {
			case inventory.ConnectorOwner:
				o, err = s.OwnerOf(n.Name, "")
			case inventory.GroupOwner:
				o, err = s.OwnerOf("", n.Name)
			}
			require.NoError(t, err)
			require.NoError(t, im.Numbers[i].Pages(3, func(page []catalog.Entry) error {
				for _, e := range page {
					numbers = append(numbers, inventory.Number{Entry: e, Owner: o})
				}
				return nil
			}))
		}
		var b bytes.Buffer
		require.NoError(t, WriteInventory(&b, s, each(numbers)))
		again, err := ParseInventory("fuzz.yaml", b.Bytes(), ImportOptions{})
		require.NoError(t, err, b.String())
		require.Equal(t, imported(t, im), imported(t, again))
		c, err = again.Change(&inventory.Editor{Snapshot: s})
		require.NoError(t, err)
		require.Equal(t, inventory.Change{}, c, b.String())
	})
}

// Ten million numbers: go test -bench WriteInventory -benchmem ./config
func BenchmarkWriteInventory(b *testing.B) {
	const count = 10_000_000
	s := &inventory.Snapshot{}
	for i := range 1000 {
		s.Groups = append(s.Groups, inventory.Group{Meta: inventory.Meta{ID: fmt.Sprint("g", i)}, GroupSpec: inventory.GroupSpec{Name: fmt.Sprintf("g%03d", i)}})
	}
	first := entryOf(b, "+15550000000").First
	for b.Loop() {
		require.NoError(b, WriteInventory(io.Discard, s, func(f func(inventory.Number) error) error {
			for i := range count {
				n := inventory.Number{Entry: catalog.Entry{First: first}, Owner: inventory.Owner{Kind: inventory.GroupOwner, ID: s.Groups[i*7%1000].ID}}
				n.Entry.First += number.Key(i)
				if err := f(n); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}
