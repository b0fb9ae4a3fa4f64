package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	config := fmt.Sprintf(`listen: [udp://%s]
admin: {listen: %s:8080}
state_dir: %s
trunks: [{name: load, sources: [127.0.0.0/8]}]
connectors:
  - {name: first, region: east, hosts: [{uri: "sip:%s"}]}
  - {name: second, region: west, hosts: [{uri: "sip:%s"}]}
groups:
  - name: load
    connectors: [{connector: first, priority: 1}, {connector: second, priority: 2}]
    numbers: [%s]
`, k.addr, k.addr.Addr(), state, Connectors[0], Connectors[1], strings.Join(numbers, ", "))
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
