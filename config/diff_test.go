package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

const diffOld = `
listen: [udp://127.0.0.1:5060, {address: tls://127.0.0.1, tls: {certificate: c.pem, clients: optional}}]
trunks:
  - {name: carrier-a, sources: [198.51.100.0/24, 198.51.100.7], strip: "00"}
  - {name: carrier-b, sources: [192.0.2.99]}
  - {name: carrier-d, tls: [d.example], sources: [203.0.113.7]}
connectors:
  - {name: east, region: us-east-1, hosts: [{uri: "sip:10.0.0.1", weight: 5}, "sip:10.0.0.2", "sip:10.0.0.3"]}
  - {name: west, hosts: ["sip:10.0.0.4"], numbers: ["+15550009999"], failover: {codes: [503]}}
  - {name: north, hosts: ["sip:10.0.0.5"]}
groups:
  - name: support
    connectors: [{connector: east, priority: 1}, {connector: west, priority: 2}, {connector: north, priority: 3}]
    numbers: ["+15550000001", "+15550000002", "0100"]
  - name: gone
    connectors: [{connector: north, priority: 1}]
    numbers: ["+15550000003"]
failover: {first_response: 2s}
secrets: [hunter2hunter2hunter2]
`

const diffNew = `
listen: [{address: udp://127.0.0.1:5060, name: public}, udp://127.0.0.1:5070, {address: tls://127.0.0.1, tls: {certificate: c.pem, clients: optional}}]
untrusted: drop
workers: 2
recent_calls: off
trunks:
  - {name: carrier-c, sources: [203.0.113.0/24]}
  - {name: carrier-d, tls: [d2.example, D.example]}
  - {name: carrier-e, tls: [e.example]}
  - {name: carrier-f, tls: [f.example], sources: [203.0.113.0/24]}
  - {name: carrier-a, sources: [198.51.100.7, 198.51.100.128/25], max_cps: 500, failover: {setup_budget: 5s}}
connectors:
  - {name: south, region: sa-east-1, hosts: ["sip:10.0.0.9", "sip:10.0.0.10"], numbers: ["+1556*"]}
  - {name: west, hosts: ["sip:10.0.0.4;lr"], max_calls: 5, max_cps: 6, large_requests: udp, udp_mtu: 1400, request_uri: keep, health: {probe: false}, probe: {to: "sip:a@b", max_forwards: 0}}
  - {name: east, hosts: ["sip:10.0.0.3", {uri: "sip:10.0.0.1", weight: 6, max_calls: 7, max_cps: 8, state: draining}, "sip:10.0.0.6"], state: disabled}
groups:
  - name: support
    connectors: [{connector: west, priority: 2}, {connector: east, priority: 3}, {connector: south, priority: 1}]
    numbers: ["+15550000002", "0100", "+15550000004", "+15550001000-+15550001999", "+15550000005", "+15550000006", "+15550000007", "+15550000008", "+1557*"]
    failover: {no_answer: 20s}
  - name: sales
    connectors: [{connector: east, priority: 1}]
    numbers: ["+15550000003"]
failover: {first_response: 1s, progress: 12s, exhausted_code: best}
health: {interval: 10s}
quotas: {groups: 5}
large_requests: udp
secrets: [hunter3hunter3hunter3, hunter2hunter2hunter2]
`

func TestDiff(t *testing.T) {
	var fields, texts []string
	for _, c := range Diff(load(t, diffOld), load(t, diffNew)) {
		fields = append(fields, c.Field)
		texts = append(texts, c.Text)
		require.Equal(t, c.Restart, strings.HasPrefix(c.Text, "restart_needed: "), c.Text)
	}
	require.Equal(t, []string{
		`restart_needed: listen udp://127.0.0.1:5060, tls://127.0.0.1:5061 (certificate c.pem, key c.pem, clients optional) -> ` +
			`udp://127.0.0.1:5060 (name public), udp://127.0.0.1:5070, tls://127.0.0.1:5061 (certificate c.pem, key c.pem, clients optional)`,
		`restart_needed: secrets are others (1 -> 2)`,
		`untrusted reject -> drop`,
		`restart_needed: workers 0 -> 2`,
		`restart_needed: recent_calls 10000 -> 0`,
		`trunk carrier-b removed`,
		`trunk carrier-c added (sources 203.0.113.0/24)`,
		`trunk carrier-d: source 203.0.113.7/32 removed`,
		`trunk carrier-d: name d2.example added`,
		`trunk carrier-e added (tls e.example)`,
		`trunk carrier-f added (tls f.example, sources 203.0.113.0/24)`,
		`trunk carrier-a: source 198.51.100.0/24 removed`,
		`trunk carrier-a: source 198.51.100.128/25 added`,
		`trunk carrier-a: strip "00" -> none`,
		`trunk carrier-a: max_cps none -> 500`,
		`trunk carrier-a: failover.setup_budget not set -> 5s`,
		`connector north removed`,
		`connector south added (region sa-east-1, hosts sip:10.0.0.9, sip:10.0.0.10, numbers +1556*)`,
		`connector west: host sip:10.0.0.4 -> sip:10.0.0.4;lr`,
		`connector west: number +15550009999 removed`,
		`connector west: request_uri host -> keep`,
		`connector west: large_requests not set -> udp`,
		`connector west: udp_mtu not set -> 1400`,
		`connector west: max_calls none -> 5`,
		`connector west: max_cps none -> 6`,
		`connector west: failover.codes [503] -> not set`,
		`connector west: health.probe not set -> false`,
		`connector west: probe.to not set -> sip:a@b`,
		`connector west: probe.max_forwards not set -> 0`,
		`connector east: region us-east-1 -> none`,
		`connector east: host sip:10.0.0.2 removed`,
		`connector east: host sip:10.0.0.1 weight 5 -> 6`,
		`connector east: host sip:10.0.0.1 max_calls none -> 7`,
		`connector east: host sip:10.0.0.1 max_cps none -> 8`,
		`connector east: host sip:10.0.0.1 state enabled -> draining`,
		`connector east: host sip:10.0.0.6 added (priority 1, weight 1)`,
		`connector east: state enabled -> disabled`,
		`group gone removed`,
		`group support: connector north removed`,
		`group support: connector east priority 1 -> 3`,
		`group support: connector south added (priority 1)`,
		`group support: number +15550000001 removed`,
		`group support: numbers added: +15550000004, +15550000005, +15550000006, +15550000007, +15550000008 and 2 more`,
		`group support: failover.no_answer not set -> 20s`,
		`group sales added (connectors east priority 1, numbers +15550000003)`,
		`large_requests not set -> udp`,
		`failover.first_response 2s -> 1s`,
		`failover.progress 12s by default -> 12s`,
		`failover.exhausted_code 503 -> best`,
		`health.interval 5s -> 10s`,
		`quotas.groups none -> 5`,
	}, texts)
	require.Contains(t, fields, "groups[support].failover.no_answer")
	require.Contains(t, fields, "connectors[north]")
	require.Contains(t, fields, "failover.first_response")
}

// The same settings in another order, or written in another way, are no change.
func TestDiffSame(t *testing.T) {
	cfg := load(t, diffOld)
	require.Empty(t, Diff(cfg, load(t, "# a comment\n"+diffOld)))
	again := load(t, diffOld)
	slices.Reverse(again.Trunks)
	slices.Reverse(again.Trunks[0].Sources)
	slices.Reverse(again.Catalog.Connectors)
	slices.Reverse(again.Catalog.Groups)
	for i := range again.Catalog.Groups {
		slices.Reverse(again.Catalog.Groups[i].Connectors)
		slices.Reverse(again.Catalog.Groups[i].Numbers)
	}
	require.Empty(t, Diff(cfg, again))
}

func TestDiffHidesSecrets(t *testing.T) {
	for _, c := range Diff(load(t, diffOld), load(t, diffNew)) {
		require.NotContains(t, c.Text, "hunter")
	}
}

// numberSet is a sealed set of some entries.
func numberSet(entries ...string) *catalog.NumberSet {
	set := new(catalog.NumberSet)
	set.Begin("numbers.csv", 0)
	for i, text := range entries {
		e, err := catalog.ParseEntry([]byte(text))
		if err != nil {
			panic(err)
		}
		set.Add(e, i+1)
	}
	set.Seal()
	return set
}

// full is a Config with something in every field that counts.
func full() *Config {
	failover := catalog.Failover{
		Codes: catalog.NewCodes(503), FirstResponse: time.Second, Progress: 2 * time.Second, NoAnswer: 3 * time.Second, TimerC: time.Hour,
		MaxRing: time.Minute, MaxAttempts: 3, ExhaustedCode: 480, SetupBudget: time.Second, WhenAllDown: catalog.RejectDown,
	}
	fpart := catalog.FailoverPart{Set: catalog.EveryField, Values: failover}
	health := catalog.Health{Interval: 5 * time.Second, FastInterval: time.Second, Timeout: time.Second, DownAfter: 3, UpAfter: 2, DoubtHold: time.Second,
		EjectAfter: 5, EjectTime: time.Second, EjectMax: time.Minute, Stall: time.Second, SlowStart: time.Second, FlapHold: time.Second, FlapWindow: time.Minute, MaxDetection: time.Minute}
	hset := catalog.FieldMaxDetection<<1 - 1
	hpart := catalog.HealthPart{Set: hset, Values: health}
	numbers := func() []catalog.Numbers { return []catalog.Numbers{{Kind: catalog.Range, First: "100", Last: "199"}} }
	files := func() *catalog.NumberSet { return numberSet("200", "+1555*") }
	return &Config{
		Listen:  []Listener{{Name: "public", Addr: netip.MustParseAddrPort("192.0.2.10:5060"), Advertise: "203.0.113.10:5060"}},
		Aliases: []string{"a"}, Admin: "a", Metrics: "m", StateDir: "s", Secrets: [][]byte{[]byte("0123456789abcdef")},
		AdminKeys: []AdminKey{{Name: "k", SHA256: [32]byte{1}}}, Store: Store{Path: "s"},
		DNS: DNS{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Timeout: time.Second, MinTTL: time.Second, MaxTTL: time.Minute},
		Streams: Streams{
			Connections: 9, PerSource: 8, Outgoing: 7, Header: 2000, Body: 3000, Idle: time.Minute, Connect: time.Second, Handshake: time.Second,
			Message: time.Second, KeepAlive: time.Second,
		},
		DrainTimeout: time.Second, Workers: 1, RecentCalls: 10,
		Trunks: []Trunk{{
			Name: "t", Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, TLS: []string{"a.example"}, Strip: "0", Prepend: "1", MaxCPS: 5, Burst: 6, Refused: true,
			Failover: fpart,
		}},
		Catalog: catalog.Catalog{
			Connectors: []catalog.Connector{{
				Name: "c", Region: "r", Numbers: numbers(), FileNumbers: files(), Strip: "0", Prepend: "1", Listener: "public", Failover: fpart, Health: hpart,
				Probe: catalog.Probe{HasMaxForwards: true, MaxForwards: 1},
				Large: catalog.Large{Requests: catalog.LargeTCP, MTU: 1},
				Hosts: []catalog.Host{{
					URI: "sip:10.0.0.1", Addr: netip.MustParseAddrPort("10.0.0.1:5060"), HostPort: "10.0.0.1", Params: ";lr", Priority: 1, Weight: 1,
				}},
			}},
			Groups: []catalog.Group{{
				Name: "g", Connectors: []catalog.Member{{Connector: "c", Priority: 1}}, Numbers: numbers(), FileNumbers: files(),
				Failover: fpart, Health: hpart,
			}},
		},
		Failover: failover, FailoverSet: catalog.EveryField, Health: health, HealthSet: hset,
		Quotas: Quotas{Groups: 1, ConnectorsPerGroup: 2},
	}
}

// restarts are the fields that are taken at a start only.
var restarts = []string{"Listen", "Aliases", "Admin", "Metrics", "StateDir", "Secrets", "RecordRoute", "Workers", "Segmentation", "RecentCalls", "Reload", "DNS", "Streams", "AdminKeys", "Store"}

// Whatever differs between two configs is a change, and is said to need a
// restart or not. A field that is added and forgotten fails here.
func TestDiffIsComplete(t *testing.T) {
	require.Empty(t, Diff(full(), full()))
	places := 0
	config := reflect.TypeFor[Config]()
	for i := range config.NumField() {
		name := config.Field(i).Name
		if name == "File" || name == "Sum" || name == "Warnings" || name == "PEM" {
			continue
		}
		// Each place in a field is changed by itself, and changed back.
		cfg := full()
		mutate(t, name, reflect.ValueOf(cfg).Elem().Field(i), func(path string) {
			places++
			for _, changes := range [][]Change{Diff(full(), cfg), Diff(cfg, full())} {
				require.NotEmpty(t, changes, path)
				for _, c := range changes {
					require.Equal(t, slices.Contains(restarts, name), c.Restart, path)
					require.NotEmpty(t, c.Field, path)
					require.NotContains(t, c.Text, "\n", path)
				}
			}
		})
		require.Equal(t, full(), cfg, name)
	}
	require.Greater(t, places, 120)
}

// mutate changes each place in v, one at a time, and calls see for each.
func mutate(t *testing.T, path string, v reflect.Value, see func(path string)) {
	was := reflect.ValueOf(v.Interface())
	set := func(is any) {
		require.NotEqual(t, was.Interface(), is, path)
		v.Set(reflect.ValueOf(is).Convert(v.Type()))
		see(path)
		v.Set(was)
	}
	switch x := v.Interface().(type) {
	case netip.AddrPort:
		set(netip.AddrPortFrom(x.Addr().Next(), x.Port()))
		set(netip.AddrPortFrom(x.Addr(), x.Port()+1))
		return
	case netip.Prefix:
		set(netip.PrefixFrom(x.Addr(), x.Bits()+1))
		set(netip.PrefixFrom(x.Addr().Next(), x.Bits()))
		return
	case *catalog.NumberSet:
		set((*catalog.NumberSet)(nil))
		set(numberSet("201", "+1555*"))
		set(numberSet("200", "+1556*"))
		set(numberSet("200", "+1555*", "100-199"))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			switch v.Type().Field(i).Name {
			case "ID", "Managed": // of an inventory, which no file has
				continue
			case "Order", "Share": // of an address that DNS has
				continue
			}
			mutate(t, path+"."+v.Type().Field(i).Name, v.Field(i), see)
		}
	case reflect.Slice:
		require.NotZero(t, v.Len(), "%s: full leaves it empty, so its elements are not tried", path)
		set(reflect.MakeSlice(v.Type(), 0, 0).Interface())
		for i := range v.Len() {
			mutate(t, fmt.Sprintf("%s[%d]", path, i), v.Index(i), see)
		}
	case reflect.Array:
		for i := range v.Len() {
			mutate(t, fmt.Sprintf("%s[%d]", path, i), v.Index(i), see)
		}
	case reflect.String:
		set(v.String() + "x")
	case reflect.Bool:
		set(!v.Bool())
	case reflect.Int, reflect.Int64: // a time by more than what is shown of it
		set(v.Int() + 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64: // words and sets
		set(v.Uint() ^ 1)
	default:
		t.Fatalf("%s: a %s; say here how to change it", path, v.Kind())
	}
}

// A change of a list of a million numbers is found in a moment.
func TestDiffLongLists(t *testing.T) {
	owner := func(first, n int) *Config {
		cfg := full()
		numbers := make([]catalog.Numbers, n)
		for i := range numbers {
			numbers[i] = catalog.Numbers{First: fmt.Sprintf("+1%010d", first+i)}
		}
		cfg.Catalog.Groups[0].Numbers = numbers
		return cfg
	}
	changes := Diff(owner(0, 200_000), owner(1000, 200_000))
	require.Len(t, changes, 2)
	require.Equal(t, "group g: numbers removed: +10000000000, +10000000001, +10000000002, +10000000003, +10000000004 and 995 more", changes[0].Text)
	require.Equal(t, "group g: numbers added: +10000200000, +10000200001, +10000200002, +10000200003, +10000200004 and 995 more", changes[1].Text)
}
