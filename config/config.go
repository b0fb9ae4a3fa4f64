// Package config reads the settings of a node from one YAML file: where it
// listens, who may call in, and the catalog that calls are routed by.
//
//	cfg, err := config.Load("tandem.yaml")
//
// All mistakes of a file are reported together, each with its line and what to
// do about it. The package opens no socket, asks no DNS server and looks at
// nothing but the file, the numbers files that it names, the environment and
// this machine's addresses: whether a certificate can be used, a
// host answers or an address can be bound is for others to find out. It writes no file.
package config

import (
	"cmp"
	"crypto/sha256"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"tandem/config/catalog"
)

// DefaultAdmin is the admin address of a file that says nothing.
const DefaultAdmin = "127.0.0.1:8080"

// Off as an admin address means that there is none.
const Off = "off"

// Config is the settings of a node.
type Config struct {
	File         string        // as given to Load or Parse
	Listen       []Listener    // one or more
	Aliases      []string      // host or host:port in request-URIs and Routes that are ours too
	Admin        string        // host:port of the admin server; Off for none
	AdminKeys    []AdminKey    // who may use it; none: whoever is on this machine
	Metrics      string        // host:port that serves /metrics, /healthz, /readyz alone; "" for none
	StateDir     string        // "" is chosen at start
	Secrets      [][]byte      // the first one signs, all verify; none is one generated and kept
	RecordRoute  bool          // stay in the path of dialogs
	DrainTimeout time.Duration // longest wait for set-ups to finish at shutdown
	Untrusted    Untrusted     // what becomes of requests from no trunk
	TryingAfter  time.Duration // how long a 100 to an INVITE waits for another answer; 0 for none
	Workers      int           // sockets of each listener, one thread each; 0 is the number of CPUs
	Segmentation bool          // datagrams of one size to one peer may leave together
	RecentCalls  int           // ended calls that are kept in memory to look at; 0 for none
	Reload       Reload
	DNS          DNS
	Streams      Streams
	Trunks       []Trunk // none: only loopback sources are accepted
	Store        Store
	Catalog      catalog.Catalog
	Large        catalog.Large // of connectors that say nothing; what the file says
	Failover     catalog.Failover
	FailoverSet  catalog.FailoverField // what of Failover the file says
	Health       catalog.Health
	HealthSet    catalog.HealthField // what of Health the file says
	Quotas       Quotas
	PEM          []PEM             // the files of certificates that it names, in the order of their lines
	Sum          [sha256.Size]byte // of the file's contents and those of its numbers files
	Warnings     []Error           // what can be served but is worth a look
}

// Reload says when the file is read again besides on SIGHUP.
type Reload struct {
	Watch bool // when it changes
}

// Listener is an address that calls come in on and go out from.
type Listener struct {
	Name      string // what connectors choose it by; "" for none
	Transport catalog.Transport
	Addr      netip.AddrPort
	Advertise string // host:port in Via and Record-Route
	TLS       ListenerTLS
}

// ListenerTLS is how a tls:// listener shows itself, and what it asks of those
// who connect. Files of the config's
// directory are named from there.
type ListenerTLS struct {
	Certificate, Key string // PEM files
	Clients          Clients
	ClientCA         string // PEM file of who may have signed a client's; "" is the system's
}

// Clients says what of those who connect is asked.
type Clients uint8

// What is asked.
const (
	ClientsAny      Clients = iota // no certificate
	ClientsOptional                // one that is shown has to be good
	ClientsRequired                // nobody without one
)

// The words of Clients in their order.
var clients = []string{"any", "optional", "required"}

func (c Clients) String() string { return clients[min(int(c), len(clients)-1)] }

// Trunk is who may call in, and how their numbers are brought into shape. One
// with names in TLS is who shows a certificate for one of them, and comes from
// Sources if there are any; one without them is who comes from Sources.
type Trunk struct {
	Name      string
	Sources   []netip.Prefix // masked; the longest match of all trunks without TLS wins
	TLS       []string       // in lower case; each is of one trunk
	Strip     string         // prefix removed from called numbers that have it
	Prepend   string         // put before called numbers that have no "+"
	Symmetric bool           // behind NAT: what is for it goes where its requests came from, not where Via and Contact point
	MaxCPS    int            // requests a second that may begin a call; 0 is no limit
	Burst     int            // how many of them may come at once; 1 or more when MaxCPS is set
	// Refused sources get what Untrusted says, as if they were in no trunk: a
	// hole in the prefix of a wider one.
	Refused   bool
	Untrusted Untrusted
	Failover  catalog.FailoverPart // of calls that it brings
}

// Untrusted says what becomes of a request from a source that no trunk admits.
type Untrusted uint8

// Untrusted modes.
const (
	Reject Untrusted = iota // 403
	Drop                    // silence
)

// The words of Untrusted in their order.
var untrusted = []string{"reject", "drop"}

func (u Untrusted) String() string { return untrusted[min(int(u), len(untrusted)-1)] }

// How many ended calls are kept.
const (
	defaultRecentCalls = 10_000
	maxRecentCalls     = 1_000_000
)

// Quotas limits how much a catalog may hold; 0 is no limit.
type Quotas struct {
	Groups             int
	ConnectorsPerGroup int
}

// Options is how a file is loaded.
type Options struct {
	// Progress is told, at most every second, how many numbers of a numbers file
	// have been read; nil tells nobody.
	Progress func(file string, numbers int)
}

// progressEvery is how often Progress is told.
const progressEvery = time.Second

// Load reads a file, its numbers files and the environment. The error is Errors.
func Load(path string) (*Config, error) { return LoadWith(path, Options{}) }

// LoadWith is Load with options.
func LoadWith(path string, opts Options) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Errors{{File: path, Text: "cannot be read: " + reason(err)}}
	}
	w := world{env: os.LookupEnv, addrs: machineAddrs, open: openNumbers, progress: opts.Progress}
	return parse(path, data, w)
}

// Parse reads data as the contents of a file; env looks up the variables that
// it names. Numbers files are read from the file's directory. The error is
// Errors.
func Parse(file string, data []byte, env func(string) (string, bool)) (*Config, error) {
	return parse(file, data, world{env: env, addrs: machineAddrs, open: openNumbers})
}

// world is what a file is read in.
type world struct {
	env      func(string) (string, bool)
	addrs    func() []netip.Addr                             // of this machine
	open     func(path string) (io.ReadCloser, int64, error) // a numbers file, with its size in bytes
	progress func(file string, numbers int)                  // may be nil
	most     int                                             // numbers of all numbers files; 0 is mostNumbers
}

func parse(file string, data []byte, w world) (*Config, error) {
	d := &decoder{world: w, file: file, told: time.Now(), failed: make(map[string]bool), warned: make(map[string]bool)}
	cfg := d.config(data)
	errs := d.errs.sorted()
	for _, f := range d.files {
		errs = append(errs, f.mistakes()...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	for i := range cfg.Catalog.Connectors {
		cfg.Catalog.Connectors[i].FileNumbers.Seal()
	}
	for i := range cfg.Catalog.Groups {
		cfg.Catalog.Groups[i].FileNumbers.Seal()
	}
	cfg.Warnings = d.warnings.sorted()
	slices.SortStableFunc(d.pem, func(a, b PEM) int { return cmp.Compare(a.Line, b.Line) })
	cfg.PEM = d.pem
	sums := make([][sha256.Size]byte, len(d.files))
	for i, f := range d.files {
		sums[i] = f.sum
	}
	cfg.Sum = sumOf(sha256.Sum256(data), sums)
	return cfg, nil
}

// maxTryingAfter is the most that RFC 3261 17.2.1 lets a server wait with a 100.
const maxTryingAfter = 190 * time.Millisecond // and 10 ms that a timer may be late

var topKeys = keys{
	known: []string{"listen", "advertise", "aliases", "admin", "metrics", "state_dir", "secrets", "record_route", "drain_timeout",
		"store", "untrusted", "trying_after", "workers", "segmentation", "recent_calls", "reload", "dns", "streams", "trunks", "connectors", "groups", "large_requests", "udp_mtu", "failover", "health", "quotas"},
	later: []string{"tls", "tcp", "log", "regions", "max_cps", "max_calls", "max_detection", "keys",
		"numbers", "events", "tracing", "cluster"},
}

// config reads the whole file.
func (d *decoder) config(data []byte) *Config {
	root, err := parseYAML(data)
	if err != nil {
		d.failAt(err.Line, "", "%s", err.Text)
		return nil
	}
	d.root = root
	f := d.fields(root, topKeys)
	failover, health := d.failover(f["failover"]), d.health(f["health"])
	var quotas Quotas
	store := d.store(f)
	listen, keys := d.admin(f["admin"])
	if f["store"].kind() != missing {
		quotas = Quotas{Groups: defaultGroups, ConnectorsPerGroup: defaultConnectorsPerGroup}
	}
	cfg := &Config{
		File:         d.file,
		Listen:       d.listeners(f["listen"], f["advertise"]),
		Aliases:      d.aliases(f["aliases"]),
		Admin:        listen,
		AdminKeys:    keys,
		Metrics:      d.metrics(f["metrics"]),
		StateDir:     d.text(f["state_dir"], ""),
		Secrets:      d.secrets(f["secrets"]),
		RecordRoute:  d.boolean(f["record_route"], true),
		DrainTimeout: d.duration(f["drain_timeout"], 30*time.Second, 0, time.Hour),
		Untrusted:    Untrusted(d.choice(f["untrusted"], untrusted...)),
		TryingAfter:  d.duration(f["trying_after"], 0, 0, maxTryingAfter),
		Workers:      d.integer(f["workers"], 0, 0, 1024),
		Segmentation: d.boolean(f["segmentation"], true),
		RecentCalls:  d.countOrOff(f["recent_calls"], defaultRecentCalls, maxRecentCalls),
		Reload:       d.reload(f["reload"]),
		DNS:          d.dns(f["dns"]),
		Streams:      d.streams(f["streams"]),
		Trunks:       d.trunks(f["trunks"]),
		Store:        store,
		Catalog: catalog.Catalog{
			Connectors: d.connectors(f["connectors"]),
			Groups:     d.groups(f["groups"]),
		},
		Large:       d.large(f),
		Failover:    catalog.DefaultFailover().With(failover, catalog.EveryField),
		FailoverSet: failover.Set,
		Health:      catalog.DefaultHealth().With(health),
		HealthSet:   health.Set,
		Quotas:      d.quotas(f["quotas"], quotas),
	}
	d.checkCatalog(cfg)
	d.checkFailover(cfg)
	d.checkHealth(cfg)
	cfg.Health = cfg.Health.Fit()
	d.checkListeners(cfg)
	d.checkIdentities(cfg)
	d.checkPeers(cfg)
	d.checkLarge(cfg)
	d.checkQuotas(cfg)
	d.checkLoops(cfg)
	d.checkServe(cfg)
	d.checkMaxCalls(cfg)
	d.checkReach(cfg)
	return cfg
}

var reloadKeys = keys{known: []string{"watch"}, later: []string{"interval"}}

func (d *decoder) reload(n node) Reload {
	return Reload{Watch: d.boolean(d.fields(n, reloadKeys)["watch"], false)}
}

// secrets reads the keys of the node: text of 16 bytes or more.
func (d *decoder) secrets(n node) [][]byte {
	const least = 16 // bytes: a SipHash key
	var secrets [][]byte
	for _, item := range d.list(n) {
		failures := len(d.errs)
		secret := d.text(item, "")
		if len(d.errs) > failures {
			continue
		}
		if len(secret) < least {
			d.fail(item, "has %d bytes; a secret needs %d or more, as from: openssl rand -hex 32", len(secret), least)
			continue
		}
		secrets = append(secrets, []byte(secret))
	}
	return secrets
}

// checkReach warns of settings that make a node of little use.
func (d *decoder) checkReach(cfg *Config) {
	if len(cfg.Trunks) == 0 && !d.failed["trunks"] {
		for _, l := range cfg.Listen {
			if !l.Addr.Addr().IsLoopback() {
				d.warnAt(d.root.line(), "trunks", "none: only calls from this machine are accepted; list who may call in")
				break
			}
		}
	}
	if all := slices.IndexFunc(cfg.Trunks, func(t Trunk) bool { return !t.Refused }) < 0; all && len(cfg.Trunks) > 0 {
		d.warnAt(d.root.find("trunks").line(), "trunks", "no call is accepted: each of them is untrusted; list who may call in too")
	}
	if cfg.Store != (Store{}) {
		return // numbers come and go
	}
	for _, c := range cfg.Catalog.Connectors {
		if c.HasNumbers() {
			return
		}
	}
	for _, g := range cfg.Catalog.Groups {
		if g.HasNumbers() {
			return
		}
	}
	d.warnAt(d.root.line(), "groups", "no group or connector has numbers: every call is answered 404")
}

// machineAddrs returns the addresses of this machine's interfaces.
func machineAddrs() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the addresses only help to explain an error
	}
	var addrs []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs
}
