package router

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"tandem/router/wire"
)

// record is what the log is told. It is a value of fixed size, so that a call
// that fails over allocates nothing; it is written by another goroutine, so
// that a slow log never holds a call.
type record struct {
	kind recordKind
	call past // recordCallEnd

	// recordUntrusted
	method  wire.Method
	source  netip.AddrPort
	prefix  netip.Prefix
	names   []string // what its certificate proves
	known   string   // the trunk of one of them, whose sources do not have it
	silent  bool
	skipped uint64
}

type recordKind uint8

const (
	recordCallEnd recordKind = iota
	recordUntrusted
	recordNoStream // source: the host
)

// offer hands a record to the log, or counts it as lost when the log is behind.
func (r *Router) offer(rec record) {
	select {
	case r.records <- rec:
	default:
		r.tally.drop(dropRecord)
	}
}

// RunLog writes records until ctx ends, then those that are left.
func (r *Router) RunLog(ctx context.Context) {
	for {
		select {
		case rec := <-r.records:
			r.write(&rec)
		case <-ctx.Done():
			for {
				select {
				case rec := <-r.records:
					r.write(&rec)
				default:
					return
				}
			}
		}
	}
}

func (r *Router) write(rec *record) {
	switch rec.kind {
	case recordUntrusted:
		r.writeUntrusted(rec)
		return
	case recordNoStream:
		r.log.Warn("a large request did not get through to the host over TCP: UDP until it is tried again", "host", rec.source.String(), "for", streamRest.String())
		return
	}
	level, text := slog.LevelInfo, "call failed over"
	if rec.call.how.failed(rec.call.status) {
		level, text = slog.LevelWarn, "call failed"
	}
	c := r.callRecord(&rec.call)
	args := []any{
		"number", c.Number,
		"route", c.Route,
		"trunk", c.Trunk,
		"source", c.Source,
		"method", c.Method,
		"call_id", c.CallID,
		"outcome", c.Outcome,
		"status", c.Status,
		"took_ms", c.Took,
		"attempts", c.Attempts,
	}
	if c.Reason != "" {
		args = append(args, "reason", c.Reason)
	}
	r.log.Log(context.Background(), level, text, args...)
}

func ms(ns int64) float64 { return float64(ns/int64(time.Microsecond)) / 1000 }

func (r *Router) writeUntrusted(rec *record) {
	what := "answered 403"
	if rec.silent {
		what = "dropped"
	}
	args := []any{"source", rec.source.String(), "method", rec.method.String(), "not_shown", rec.skipped}
	stanza := "{name: NAME, sources: [" + rec.prefix.String() + "]}"
	if len(rec.names) > 0 {
		args = append(args, "certificate", shown(rec.names))
		stanza = "{name: NAME, tls: [" + cut(rec.names[0]) + "]}"
	}
	if rec.known != "" {
		stanza = "{name: " + rec.known + ", sources: [" + rec.prefix.String() + ", ...]}"
	}
	r.log.Warn("request from a source that is no trunk's: "+what, append(args, "to_admit", "trunks: ["+stanza+"]")...)
}

// shown are the first names of a certificate, as far as a line has room.
func shown(names []string) []string {
	const most = 8
	var all []string
	for _, name := range names[:min(len(names), most)] {
		all = append(all, cut(name))
	}
	if len(names) > most {
		all = append(all, "...")
	}
	return all
}

// cut is as much of a name as a line has room for: a DNS name has no more.
func cut(name string) string {
	const most = 253 // RFC 1035 2.3.4
	return name[:min(len(name), most)]
}
