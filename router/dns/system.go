package dns

import (
	"bufio"
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// lookAgain is how often the system's files are looked at for changes.
const lookAgain = 5 * time.Second

// system is what this machine's files say of names. They are read again when they
// change, so that a node outlives a DHCP lease.
type system struct {
	resolvConf, hostsFile string

	mu     sync.Mutex
	looked time.Time
	seen   [2]stamp
	is     systemState
}

// stamp is by what a change of a file is seen.
type stamp struct {
	changed time.Time
	size    int64
}

type systemState struct {
	servers []netip.AddrPort
	search  []string
	dots    int // from so many dots on, a name is asked for as it is first
	hosts   map[string][]netip.Addr
}

func newSystem(resolvConf, hostsFile string) *system {
	return &system{resolvConf: cmp.Or(resolvConf, "/etc/resolv.conf"), hostsFile: cmp.Or(hostsFile, "/etc/hosts")}
}

// read returns what the files say.
func (s *system) read() systemState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.looked.IsZero() && time.Since(s.looked) < lookAgain {
		return s.is
	}
	now := [2]stamp{stampOf(s.resolvConf), stampOf(s.hostsFile)}
	if s.looked.IsZero() || now != s.seen {
		s.is.servers, s.is.search, s.is.dots = resolvConf(s.resolvConf)
		if len(s.is.servers) == 0 { // resolv.conf(5): the one on this machine
			s.is.servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")}
		}
		s.is.hosts = readHosts(s.hostsFile)
	}
	s.looked, s.seen = time.Now(), now
	return s.is
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// readHosts reads a file like /etc/hosts (hosts(5)).
func readHosts(path string) map[string][]netip.Addr {
	hosts := make(map[string][]netip.Addr)
	f, err := os.Open(path)
	if err != nil {
		return hosts
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(words[0])
		if err != nil || ip.Zone() != "" {
			continue
		}
		for _, name := range words[1:] {
			name = absolute(name)
			hosts[name] = append(hosts[name], ip.Unmap())
		}
	}
	for name, list := range hosts {
		slices.SortFunc(list, netip.Addr.Compare)
		hosts[name] = slices.Compact(list)
	}
	return hosts
}

// Hosts returns the addresses that the system's hosts file has for a name; none
// where servers were given. DNS need not be asked for such a name.
func (c *Client) Hosts(name string) []netip.Addr {
	if c.system == nil {
		return nil
	}
	return c.system.read().hosts[absolute(name)]
}

// Search returns the absolute names that a name may stand for, in the order in
// which they are to be asked for: itself, unless the system has a search list
// (resolv.conf(5)). A name that ends in a dot is absolute.
func (c *Client) Search(name string) []string {
	if c.system == nil || strings.HasSuffix(name, ".") {
		return []string{absolute(name)}
	}
	is := c.system.read()
	var names []string
	for _, domain := range is.search {
		names = append(names, absolute(name+"."+domain))
	}
	if strings.Count(name, ".") >= is.dots {
		return slices.Insert(names, 0, absolute(name))
	}
	return append(names, absolute(name))
}

// Addresses returns the addresses of a name, as the hosts file says or DNS. That
// there are none is a *net.DNSError with IsNotFound; any other error says nothing
// of that.
func (c *Client) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	if addrs := c.Hosts(name); len(addrs) > 0 {
		return addrs, nil
	}
	for _, full := range c.Search(name) {
		addrs, err := c.both(ctx, full)
		if len(addrs) > 0 || err != nil {
			return addrs, err
		}
	}
	return nil, &net.DNSError{Err: "it has no address", Name: name, IsNotFound: true}
}

// both asks for the addresses of both families. An error of one counts if the
// other has none.
func (c *Client) both(ctx context.Context, name string) ([]netip.Addr, error) {
	var v6 Answer
	var err6 error
	var other sync.WaitGroup
	other.Go(func() { v6, err6 = c.Ask(ctx, Question{name, AAAA}) })
	v4, err4 := c.Ask(ctx, Question{name, A})
	other.Wait()
	if addrs := append(v4.Addrs, v6.Addrs...); len(addrs) > 0 {
		return addrs, nil
	}
	return nil, cmp.Or(err4, err6)
}
