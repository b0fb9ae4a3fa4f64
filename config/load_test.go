package config

import (
	"crypto/sha256"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func load(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := parse("test.yaml", []byte(text), testWorld)
	require.NoError(t, err)
	return cfg
}

func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		cfg, err := parse(file, data, world{env: testEnv, addrs: testAddrs, open: openNumbers})
		require.NoError(t, err)
		require.Empty(t, cfg.Warnings, file)
		require.Equal(t, cfg.Store == Store{}, len(cfg.Catalog.Groups) > 0, file)
	}
}

func TestDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "{}", "listen:\ntrunks:\nconnectors:\ngroups:\nfailover:\nhealth:\nquotas:\nsecrets:\nadmin:\nmetrics:\nreload:\n"} {
		cfg := load(t, text)
		require.Len(t, cfg.Warnings, 1, "%q", text) // no numbers
		cfg.Warnings, cfg.Sum = nil, [32]byte{}
		require.Equal(t, &Config{
			File:         "test.yaml",
			Listen:       []Listener{{Addr: netip.MustParseAddrPort("127.0.0.1:5060"), Advertise: "127.0.0.1:5060"}},
			Admin:        "127.0.0.1:8080",
			RecordRoute:  true,
			DrainTimeout: 30 * time.Second,
			DNS:          DNS{Timeout: 2 * time.Second, MinTTL: 5 * time.Second, MaxTTL: time.Hour},
			Streams: Streams{
				Header: 16384, Body: 262144,
				Idle: 10 * time.Minute, Connect: 5 * time.Second, Handshake: 5 * time.Second, Message: 10 * time.Second,
			},
			Segmentation: true,
			RecentCalls:  10_000,
			Catalog:      catalog.Catalog{Connectors: []catalog.Connector{}, Groups: []catalog.Group{}},
			Failover:     catalog.DefaultFailover(),
			Health:       catalog.DefaultHealth(),
		}, cfg, "%q", text)
	}
}

func TestEverything(t *testing.T) {
	cfg := load(t, `
listen:
  - udp://192.0.2.10
  - "udp://[2001:db8::10]:5070"
  - {address: udp://192.0.2.11, advertise: 203.0.113.11:5090, name: partners}
advertise: [203.0.113.10, sip.example.com:5080]
aliases: [sip.example.com, "192.0.2.99:5060", "[2001:db8::99]"]
admin: {listen: localhost:9000}
metrics: {listen: ":9090"}
state_dir: /var/lib/tandem
secrets: ["${SECRET}", an older secret of 16 bytes]
record_route: false
drain_timeout: 1m30s
untrusted: drop
trying_after: 150ms
workers: 4
segmentation: false
recent_calls: 500
reload: {watch: true}
streams: {connections: 10, per_source: 5, outgoing: 6, header: 2048, body: 4096, idle: 1m, connect: 1s, handshake: 2s, message: 3s, keep_alive: 20s}
dns: {servers: [192.0.2.53, "[2001:db8::53]:5353"], timeout: 500ms, min_ttl: 1s, max_ttl: 30m}
trunks:
  - name: carrier-a
    sources: [198.51.100.0/24, 198.51.100.7, "2001:db8:1::/48", "::ffff:192.0.2.1"]
    strip: 00
    prepend: +
    symmetric: yes
    max_cps: 500
    burst: 50
    failover: {setup_budget: 8s, exhausted_code: 480, when_all_down: reject}
  - {name: carrier-b, sources: 203.0.113.0/28, max_cps: 20}
  - {name: carrier-b lab, sources: 203.0.113.5, untrusted: drop}
  - {name: carrier-b old, sources: 203.0.113.6, untrusted: reject}
connectors:
  - name: east
    region: us-east-1
    hosts:
      - uri: SIP:10.0.0.1:${PORT};transport=UDP;lr
        priority: 2
        weight: 30
        max_cps: 8
        state: draining
      - sip:[2001:db8::1]
    numbers: [+15550009999, 0100]
    request_uri: keep
    number: +e164
    strip: 9
    prepend: tech*
    max_cps: 10
    state: disabled
    failover: {no_answer: 20s}
    health: {down_codes: [], probe: true, max_detection: 2m}
  - {name: west, hosts: sip:10.0.0.2, listener: partners, large_requests: auto, udp_mtu: 500, probe: {from: "sip:+1555;phone-context=x@[2001:db8::1]:5070;a=b", to: "SIP:b.example", request_uri: "sip:10.0.0.9", max_forwards: 0, listener: partners}}
groups:
  - name: sales
    connectors: [{connector: east, priority: 1}, {connector: west, priority: 99}]
    numbers: [+15550000001, 100 - 199, +1555*]
    failover: {first_response: 300ms, no_answer: off, max_attempts: 2}
    health: {interval: 1m}
large_requests: udp
udp_mtu: 65535
failover: {no_answer: 2m, max_ring: 3m, setup_budget: 1m, codes: [503, 480], first_response: 500ms, progress: 3s, timer_c: 4m, max_attempts: 8, exhausted_code: best, after_ringing: true, when_all_down: try}
health: {probe: false, interval: 30s, fast_interval: 2s, timeout: 500ms, down_after: 2, up_after: 1, down_codes: [500], doubt_hold: 20s, eject_after: 3, eject_time: 5s, eject_max: 1m, stall: 3s, slow_start: off, flap_hold: 20s, flap_window: 10m, max_detection: off}
quotas: {groups: 3, connectors_per_group: 3}
`)
	require.NotZero(t, cfg.Sum)
	cfg.Sum = [32]byte{}
	require.Equal(t, &Config{
		File: "test.yaml",
		Listen: []Listener{
			{Addr: netip.MustParseAddrPort("192.0.2.10:5060"), Advertise: "203.0.113.10:5060"},
			{Addr: netip.MustParseAddrPort("[2001:db8::10]:5070"), Advertise: "sip.example.com:5080"},
			{Name: "partners", Addr: netip.MustParseAddrPort("192.0.2.11:5060"), Advertise: "203.0.113.11:5090"},
		},
		Aliases:      []string{"sip.example.com", "192.0.2.99:5060", "[2001:db8::99]"},
		Admin:        "localhost:9000",
		Metrics:      ":9090",
		StateDir:     "/var/lib/tandem",
		Secrets:      [][]byte{[]byte("0123456789abcdef0123456789abcdef"), []byte("an older secret of 16 bytes")},
		DrainTimeout: 90 * time.Second,
		Untrusted:    Drop,
		TryingAfter:  150 * time.Millisecond,
		Workers:      4,
		RecentCalls:  500,
		Reload:       Reload{Watch: true},
		DNS: DNS{
			Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353")},
			Timeout: 500 * time.Millisecond, MinTTL: time.Second, MaxTTL: 30 * time.Minute,
		},
		Streams: Streams{
			Connections: 10, PerSource: 5, Outgoing: 6, Header: 2048, Body: 4096,
			Idle: time.Minute, Connect: time.Second, Handshake: 2 * time.Second, Message: 3 * time.Second, KeepAlive: 20 * time.Second,
		},
		Trunks: []Trunk{{
			Name: "carrier-a",
			Sources: []netip.Prefix{
				netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("198.51.100.7/32"),
				netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("192.0.2.1/32"),
			},
			Strip: "00", Prepend: "+", Symmetric: true, MaxCPS: 500, Burst: 50,
			Failover: catalog.FailoverPart{
				Set:    catalog.FieldSetupBudget | catalog.FieldExhaustedCode | catalog.FieldWhenAllDown,
				Values: catalog.Failover{SetupBudget: 8 * time.Second, ExhaustedCode: 480, WhenAllDown: catalog.RejectDown},
			},
		}, {
			Name: "carrier-b", Sources: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}, MaxCPS: 20, Burst: 20,
		}, {
			Name: "carrier-b lab", Sources: []netip.Prefix{netip.MustParsePrefix("203.0.113.5/32")}, Refused: true, Untrusted: Drop,
		}, {
			Name: "carrier-b old", Sources: []netip.Prefix{netip.MustParsePrefix("203.0.113.6/32")}, Refused: true,
		}},
		Catalog: catalog.Catalog{
			Connectors: []catalog.Connector{
				{
					Name: "east", Region: "us-east-1",
					Hosts: []catalog.Host{
						{
							URI: "SIP:10.0.0.1:5061;transport=UDP;lr", Addr: netip.MustParseAddrPort("10.0.0.1:5061"),
							HostPort: "10.0.0.1:5061", Params: ";transport=UDP;lr", Priority: 2, Weight: 30, Limits: catalog.Limits{MaxCPS: 8}, State: catalog.Draining,
						},
						{URI: "sip:[2001:db8::1]", Addr: netip.MustParseAddrPort("[2001:db8::1]:5060"), HostPort: "[2001:db8::1]", Priority: 1, Weight: 1},
					},
					Numbers:    []catalog.Numbers{{First: "+15550009999"}, {First: "0100"}},
					RequestURI: catalog.KeepURI, Number: catalog.PlusE164, Strip: "9", Prepend: "tech*", Limits: catalog.Limits{MaxCPS: 10}, State: catalog.Disabled,
					Failover: catalog.FailoverPart{Set: catalog.FieldNoAnswer, Values: catalog.Failover{NoAnswer: 20 * time.Second}},
					Health:   catalog.HealthPart{Set: catalog.FieldProbe | catalog.FieldDownCodes | catalog.FieldMaxDetection, Values: catalog.Health{Probe: true, MaxDetection: 2 * time.Minute}},
				},
				{
					Name: "west", Listener: "partners", Large: catalog.Large{Requests: catalog.LargeAuto, MTU: 500},
					Probe: catalog.Probe{
						From: "sip:+1555;phone-context=x@[2001:db8::1]:5070;a=b", To: "SIP:b.example", RequestURI: "sip:10.0.0.9", HasMaxForwards: true, Listener: "partners",
					},
					Hosts: []catalog.Host{{URI: "sip:10.0.0.2", Addr: netip.MustParseAddrPort("10.0.0.2:5060"), HostPort: "10.0.0.2", Priority: 1, Weight: 1}},
				},
			},
			Groups: []catalog.Group{{
				Name:       "sales",
				Connectors: []catalog.Member{{Connector: "east", Priority: 1}, {Connector: "west", Priority: 99}},
				Numbers: []catalog.Numbers{
					{First: "+15550000001"}, {Kind: catalog.Range, First: "100", Last: "199"}, {Kind: catalog.Prefix, First: "+1555"},
				},
				Failover: catalog.FailoverPart{
					Set:    catalog.FieldFirstResponse | catalog.FieldNoAnswer | catalog.FieldMaxAttempts,
					Values: catalog.Failover{FirstResponse: 300 * time.Millisecond, MaxAttempts: 2},
				},
				Health: catalog.HealthPart{Set: catalog.FieldInterval, Values: catalog.Health{Interval: time.Minute}},
			}},
		},
		Large: catalog.Large{Requests: catalog.LargeUDP, MTU: 65535},
		Failover: catalog.Failover{
			Codes: catalog.NewCodes(480, 503), FirstResponse: 500 * time.Millisecond, Progress: 3 * time.Second,
			NoAnswer: 2 * time.Minute, TimerC: 4 * time.Minute, MaxRing: 3 * time.Minute, MaxAttempts: 8, AfterRinging: true,
			SetupBudget: time.Minute,
		},
		FailoverSet: catalog.EveryField,
		Health: catalog.Health{
			Interval: 30 * time.Second, FastInterval: 2 * time.Second, Timeout: 500 * time.Millisecond,
			DownAfter: 2, UpAfter: 1, DownCodes: catalog.NewCodes(500), DoubtHold: 20 * time.Second,
			EjectAfter: 3, EjectTime: 5 * time.Second, EjectMax: time.Minute, Stall: 3 * time.Second, FlapHold: 20 * time.Second, FlapWindow: 10 * time.Minute,
		},
		HealthSet: catalog.FieldMaxDetection<<1 - 1,
		Quotas:    Quotas{Groups: 3, ConnectorsPerGroup: 3},
	}, cfg)
}

func TestAdminOff(t *testing.T) {
	require.Equal(t, Off, load(t, "admin: off").Admin)
	require.Equal(t, Off, load(t, "admin: {listen: off}").Admin)
}

func TestWildcardAdvertises(t *testing.T) {
	cfg := load(t, "listen: [udp://0.0.0.0:5070, \"udp://[::]:5080\", udp://127.0.0.1]\nadvertise: [203.0.113.10, \"[2001:db8::5]:5060\"]")
	require.Equal(t, "203.0.113.10:5070", cfg.Listen[0].Advertise)
	require.Equal(t, "[2001:db8::5]:5060", cfg.Listen[1].Advertise)
	require.Equal(t, "203.0.113.10:5060", cfg.Listen[2].Advertise)
}

// An anchor names a value, so that a list is written once.
func TestAnchors(t *testing.T) {
	cfg := load(t, "failover: {codes: &bad [500, 503]}\nhealth: {down_codes: *bad}\n")
	require.Equal(t, []int{500, 503}, cfg.Health.DownCodes.List())
	_, err := parse("test.yaml", []byte("failover: &a {codes: *a}\n"), testWorld)
	require.ErrorContains(t, err, `test.yaml:1: failover.codes: must be a list`)
}

func TestExpand(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"$PORT {PORT} $":        "$PORT {PORT} $",
		"${PORT}":               "5061",
		"a${PORT}b${PORT}c":     "a5061b5061c",
		"$${PORT}":              "${PORT}",
		"$$${PORT}":             "$${PORT}",
		"${EMPTY}":              "",
		"${TWICE}":              "${PORT}",
		"$${${PORT}}":           "${5061}",
		strings.Repeat("$", 99): strings.Repeat("$", 99),
	} {
		got, problems := expand(in, testEnv)
		require.Empty(t, problems)
		require.Equal(t, want, got)
	}
	for _, in := range []string{"${", "${}", "${PORT", "${1}", "${A B}", "${NOPE}", "${${PORT}}"} {
		_, problems := expand(in, testEnv)
		require.Len(t, problems, 1, in)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	_, err := Load(missing)
	require.EqualError(t, err, missing+": cannot be read: no such file or directory")
	var errs Errors
	require.ErrorAs(t, err, &errs)

	t.Setenv("TANDEM_TEST_DIR", "/state")
	file := filepath.Join(dir, "tandem.yaml")
	require.NoError(t, os.WriteFile(file, []byte("state_dir: ${TANDEM_TEST_DIR}/tandem\n"), 0o600))
	cfg, err := Load(file)
	require.NoError(t, err)
	require.Equal(t, "/state/tandem", cfg.StateDir)
}

// A secret never shows in an error.
func TestErrorsHideSecrets(t *testing.T) {
	_, err := parse("test.yaml", []byte("secrets: [hunter2, [hunter2], {hunter2: hunter2}]"), testWorld)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestNotText(t *testing.T) {
	for _, text := range []string{"untrusted: drop\nstate_dir: '\xff'\n", "untrusted: drop\nstate_dir: \x00\n", "\n\x1b"} {
		_, err := parse("test.yaml", []byte(text), testWorld)
		require.ErrorContains(t, err, "test.yaml:2: is not text")
	}
}

// A byte order mark and Windows line ends are what some editors leave.
func TestWindowsText(t *testing.T) {
	cfg := load(t, "\ufeffuntrusted: drop\r\nworkers: 2\r\n")
	require.Equal(t, Drop, cfg.Untrusted)
	require.Equal(t, 2, cfg.Workers)
}

// yamlBreaks makes line feeds of all that YAML 1.1 takes for the end of a line.
var yamlBreaks = strings.NewReplacer("\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "../examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	fuzzWorld := world{env: testEnv, addrs: testAddrs, open: func(path string) (io.ReadCloser, int64, error) {
		text := "+1555\n" + path // no file is read, whatever its name
		return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
	}}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parse("fuzz.yaml", data, fuzzWorld)
		if err == nil {
			require.NotEmpty(t, cfg.Listen)
			for _, p := range cfg.Catalog.Check() {
				require.True(t, p.Warning)
			}
			require.Empty(t, Diff(cfg, cfg))
			root, problem := parseYAML(data)
			require.Nil(t, problem)
			sums := make([][32]byte, len(numbersPaths(root, "fuzz.yaml", testEnv)))
			require.Equal(t, len(sums) == 0, cfg.Sum == sha256.Sum256(data))
			return
		}
		lines := strings.Count(yamlBreaks.Replace(string(data)), "\n") + 1
		errs := err.(Errors)
		require.NotEmpty(t, errs)
		for _, e := range errs {
			require.True(t, e.File != "fuzz.yaml" || e.Line >= 1 && e.Line <= lines, e.Error())
			require.NotContains(t, e.Error(), "\n")
		}
	})
}
