package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tandem/bench/cert"
	"tandem/bench/load"
)

func startTandem(s Settings, k kind) (*Process, error) { return startNode(s, k, "") }

func startVariant(s Settings, k kind) (*Process, error) { return startNode(s, k, s.Variant) }

// startNode starts a tandem built from this tree, with more in its config.
func startNode(s Settings, k kind, more string) (*Process, error) {
	dir, err := s.directory(k.name)
	if err != nil {
		return nil, err
	}
	binary, err := s.build(filepath.Dir(s.Bench), "./cmd/tandem")
	if err != nil {
		return nil, err
	}
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	numbers := make([]string, s.Numbers)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("%q", fmt.Sprintf("+%d", First+i))
	}
	listen, secure := fmt.Sprintf("%s://%s", k.transport, k.addr), ""
	if k.transport == load.TLS {
		f := cert.In(s.Work)
		listen = fmt.Sprintf("{address: %q, tls: {certificate: %q, key: %q}}", listen, f.Certificate, f.Key)
		secure = fmt.Sprintf(", tls: {ca: %q}", f.CA)
	}
	to := ConnectorsOver(k.transport)
	config := fmt.Sprintf(`listen: [%s]
admin: {listen: %s:8080}
state_dir: %s
trunks: [{name: load, sources: [127.0.0.0/8]}]
connectors:
  - {name: first, region: east, hosts: [{uri: %q}]%s}
  - {name: second, region: west, hosts: [{uri: %q}]%s}
groups:
  - name: load
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: [%s]
`, listen, k.addr.Addr(), state, uri(to[0], k.transport), secure, uri(to[1], k.transport), secure, strings.Join(numbers, ", "))
	if s.Workers > 0 {
		config += fmt.Sprintf("workers: %d\n", s.Workers)
	}
	config += more + "\n"
	path := filepath.Join(dir, "tandem.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return Start(s.Work, s.CPU, dir, binary, "serve", "--config", path)
}
