package config

import (
	"strconv"
	"time"

	"tandem/config/catalog"
)

// Streams bounds what peers can take by connections, over TCP and TLS together.
type Streams struct {
	Connections int // of others, at a time; 0 is by the machine's memory
	PerSource   int // of these, from one IPv4 address or IPv6 /64; 0 is half of them, 2,000 at most
	Outgoing    int // that the node opens; 0 is by the machine's memory
	Header      int // bytes of one message's header
	Body        int // bytes of one message's body

	Idle      time.Duration // without a message
	Connect   time.Duration // until a connection that the node opens is there
	Handshake time.Duration // until TLS is agreed on
	Message   time.Duration // from the first byte of a message to its last
	KeepAlive time.Duration // how often the node pings on connections that it opened; 0 is never
}

var streamsKeys = keys{known: []string{"connections", "per_source", "outgoing", "header", "body", "idle", "connect", "handshake", "message", "keep_alive"}}

const (
	maxConnections = 1_000_000
	maxStreamWait  = time.Minute
)

// streams reads the limits of connections.
func (d *decoder) streams(n node) Streams {
	f := d.fields(n, streamsKeys)
	s := Streams{
		Connections: d.integer(f["connections"], 0, 0, maxConnections),
		PerSource:   d.integer(f["per_source"], 0, 0, maxConnections),
		Outgoing:    d.integer(f["outgoing"], 0, 0, maxConnections),
		Header:      d.integer(f["header"], 16<<10, 1<<10, 64<<10),
		Body:        d.integer(f["body"], 256<<10, 1<<10, 256<<10),
		Idle:        d.duration(f["idle"], 10*time.Minute, 10*time.Second, 24*time.Hour),
		Connect:     d.duration(f["connect"], 5*time.Second, 100*time.Millisecond, maxStreamWait),
		Handshake:   d.duration(f["handshake"], 5*time.Second, 100*time.Millisecond, maxStreamWait),
		Message:     d.duration(f["message"], 10*time.Second, 100*time.Millisecond, maxStreamWait),
		KeepAlive:   d.durationOrOff(f["keep_alive"], 0, time.Second, time.Hour),
	}
	if s.Connections > 0 && s.PerSource > s.Connections {
		d.fail(f["per_source"], "%d from one address, and connections allows %d in all; write less, or more there", s.PerSource, s.Connections)
	}
	if k := f["keep_alive"]; s.KeepAlive >= s.Idle && d.says(k) {
		d.fail(k, "%s is not shorter than idle, %s, which ends a connection first; write less, or more there", catalog.Duration(s.KeepAlive), catalog.Duration(s.Idle))
	}
	return s
}

// streams compares the limits of connections.
func (d *differ) streams(a, b *Streams) {
	for _, v := range []struct {
		key     string
		was, is int
	}{
		{"connections", a.Connections, b.Connections}, {"per_source", a.PerSource, b.PerSource}, {"outgoing", a.Outgoing, b.Outgoing},
		{"header", a.Header, b.Header}, {"body", a.Body, b.Body},
	} {
		d.restart("streams."+v.key, strconv.Itoa(v.was), strconv.Itoa(v.is))
	}
	for _, v := range []struct {
		key     string
		was, is time.Duration
	}{
		{"idle", a.Idle, b.Idle}, {"connect", a.Connect, b.Connect}, {"handshake", a.Handshake, b.Handshake},
		{"message", a.Message, b.Message}, {"keep_alive", a.KeepAlive, b.KeepAlive},
	} {
		d.restart("streams."+v.key, orOff(v.was), orOff(v.is))
	}
}

func orOff(t time.Duration) string {
	if t == 0 {
		return Off
	}
	return catalog.Duration(t)
}
