package router

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"tandem/config/catalog"
	"tandem/router/wire"
)

// record is what the log is told. It is a value of fixed size, so that a call
// that fails over allocates nothing; it is written by another goroutine, so
// that a slow log never holds a call.
type record struct {
	kind recordKind
	at   int64

	// recordCall
	route     *route
	trunk     string
	number    [maxNumber]byte
	numberLen uint8
	callID    [maxCallID]byte
	callIDLen uint8
	method    wire.Method
	how       outcome
	status    int
	took      int64
	attempts  [catalog.MaxAttempts]attemptRecord
	count     int

	// recordUntrusted
	source  netip.AddrPort
	prefix  netip.Prefix
	silent  bool
	skipped uint64
}

type recordKind uint8

const (
	recordCallEnd recordKind = iota
	recordUntrusted
)

type attemptRecord struct {
	host    *host
	outcome attemptOutcome
	status  int
	took    int64
}

// recordCall notes a call that failed over or failed.
func (r *Router) recordCall(s *scratch, c *call, how outcome) {
	rec := record{
		kind: recordCallEnd, at: s.now,
		route: c.route, trunk: c.trunk.Name,
		number: c.number, numberLen: c.numberLen,
		method: c.method, how: how, status: c.status, took: s.now - c.started,
		count: c.count,
	}
	if c.raw != nil {
		m := r.original(s, c)
		rec.callIDLen = uint8(copy(rec.callID[:], m.Bytes(m.CallID)))
	}
	for i := range c.count {
		a := c.at(i)
		ended := a.ended
		if a.outcome == attemptPending {
			ended = s.now
		}
		rec.attempts[i] = attemptRecord{a.host, a.outcome, a.status, ended - a.started}
	}
	r.offer(rec)
}

// offer hands a record to the log, or counts it as lost when the log is behind.
func (r *Router) offer(rec record) {
	select {
	case r.records <- rec:
	default:
		r.stats.drop(dropRecord)
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
	if rec.kind == recordUntrusted {
		r.writeUntrusted(rec)
		return
	}
	attempts := make([]any, 0, rec.count)
	for _, a := range rec.attempts[:rec.count] {
		attempts = append(attempts, attemptLine{
			Connector: a.host.connector.name, Host: a.host.uri,
			Outcome: a.outcome.String(), Status: a.status, Took: ms(a.took),
		})
	}
	level, text := slog.LevelInfo, "call failed over"
	if rec.how == exhausted || rec.how == timedOut {
		level, text = slog.LevelWarn, "call failed"
	}
	r.log.Log(context.Background(), level, text,
		"number", string(rec.number[:rec.numberLen]),
		"route", rec.route.name(),
		"trunk", rec.trunk,
		"method", rec.method.String(),
		"call_id", string(rec.callID[:rec.callIDLen]),
		"outcome", rec.how.String(),
		"status", rec.status,
		"ms", ms(rec.took),
		"attempts", attempts,
	)
}

// attemptLine is an attempt as the log shows it.
type attemptLine struct {
	Connector string  `json:"connector"`
	Host      string  `json:"host"`
	Outcome   string  `json:"outcome"`
	Status    int     `json:"status,omitempty"`
	Took      float64 `json:"ms"`
}

func ms(ns int64) float64 { return float64(ns/int64(time.Microsecond)) / 1000 }

func (r *Router) writeUntrusted(rec *record) {
	what := "answered 403"
	if rec.silent {
		what = "dropped"
	}
	r.log.Warn("request from a source that is no trunk's: "+what,
		"source", rec.source.String(),
		"method", rec.method.String(),
		"not_shown", rec.skipped,
		"to_admit", "trunks: [{name: NAME, sources: ["+rec.prefix.String()+"]}]",
	)
}
