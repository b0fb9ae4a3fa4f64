package main

import (
	"crypto/x509"
	"slices"
	"time"

	"tandem/admin"
	"tandem/router/transport/stream"
)

// certificates are what is in use of certificates and authorities, by their files.
// Who names the same file shares what was read of it: listeners, connectors, and
// each address of a name. So it is read once, and a change of it is taken for all
// at one reload, also when DNS brings an address meanwhile.
type certificates struct {
	ours  map[stream.KeyPair]*stream.Certificates
	roots map[string]*stream.Roots
}

// certificates are those of the listeners and of whoever is known now.
func (s *streams) certificates() certificates {
	c := certificates{make(map[stream.KeyPair]*stream.Certificates), make(map[string]*stream.Roots)}
	note := func(ours *stream.Certificates, roots *stream.Roots) {
		if ours != nil {
			c.ours[ours.Pairs()[0]] = ours
		}
		if roots != nil {
			c.roots[roots.File()] = roots
		}
	}
	for _, server := range s.servers {
		note(server.Certificates, server.Roots)
	}
	if peers := s.peers.Load(); peers != nil {
		for _, p := range *peers {
			note(p.ours, p.roots)
		}
	}
	return c
}

// pair is what the node shows; nil, nothing, where no file is named.
func (c certificates) pair(certificate, key string) (*stream.Certificates, error) {
	pair := stream.KeyPair{Certificate: certificate, Key: key}
	if ours := c.ours[pair]; ours != nil || certificate == "" {
		return ours, nil
	}
	ours, err := stream.LoadCertificates(pair)
	if err != nil {
		return nil, err
	}
	c.ours[pair] = ours
	return ours, nil
}

// authorities are who may have signed; nil, the system's, where no file is named.
func (c certificates) authorities(file string) (*stream.Roots, error) {
	if roots := c.roots[file]; roots != nil || file == "" {
		return roots, nil
	}
	roots, err := stream.LoadRoots(file)
	if err != nil {
		return nil, err
	}
	c.roots[file] = roots
	return roots, nil
}

// reload reads all files again. Others are those of ours that are not what they
// were. Files that cannot be used stay as they were, and failed says why.
func (c certificates) reload() (read int, others map[*stream.Certificates]bool, failed []string) {
	others = make(map[*stream.Certificates]bool)
	try := func(err error) {
		if err != nil {
			failed = append(failed, err.Error())
		} else {
			read++
		}
	}
	for _, ours := range c.ours {
		before := ours.Leaves()
		try(ours.Reload())
		others[ours] = !slices.EqualFunc(before, ours.Leaves(), (*x509.Certificate).Equal)
	}
	for _, roots := range c.roots {
		try(roots.Reload())
	}
	slices.Sort(failed)
	return read, others, failed
}

// expiries is when what is in use of certificates ends: those that the node shows,
// and the last of the authorities in each file of them; and whether the last reload
// could read the files. One may have both.
func (s *streams) expiries() admin.Expiries {
	c := s.certificates()
	e := admin.Expiries{Certificates: make(map[string]time.Time), Authorities: make(map[string]time.Time), Read: make(map[string]bool)}
	note := func(file string, stale bool) {
		read, known := e.Read[file]
		e.Read[file] = !stale && (read || !known)
	}
	for pair, ours := range c.ours {
		end, known := e.Certificates[pair.Certificate] // with its key in another file
		if leaf := ours.Leaves()[0]; !known || leaf.NotAfter.Before(end) {
			e.Certificates[pair.Certificate] = leaf.NotAfter
		}
		note(pair.Certificate, ours.Stale())
	}
	for file, roots := range c.roots {
		e.Authorities[file] = roots.End()
		note(file, roots.Stale())
	}
	return e
}
