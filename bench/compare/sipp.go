package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tandem/bench/load"
	"tandem/bench/peer"
)

const sippBuffer = "4194304" // the default one holds a hundred messages

const (
	tail      = 300 * time.Millisecond  // load that runs on when everything is measured
	reporting = 1500 * time.Millisecond // SIPp writes its counts every second
)

// sippLoad is SIPp: two connectors that run all the time, and a caller for each
// block.
type sippLoad struct {
	settings
	mode       []string // of both sides
	connectors []*peer.Process
	dirs       []string
	restless   bool // something was lost in the block before
}

func newSIPpLoad(ctx context.Context, s settings, transport string) (*sippLoad, error) {
	l := &sippLoad{settings: s, mode: []string{"-nostdin", "-buff_size", sippBuffer, "-fd", "1", "-trace_err"}}
	if transport == load.TCP {
		l.mode = append(l.mode, "-t", "t1")
	}
	for _, addr := range peer.Connectors {
		dir, err := os.MkdirTemp(s.Work, "connector-")
		if err != nil {
			return nil, err
		}
		ip := addr.Addr().String()
		p, err := peer.Start(s.Work, s.cpu(), dir, "sipp", append(l.mode,
			"-sf", filepath.Join(s.Bench, "sipp", "connector.xml"), "-i", ip, "-p", strconv.Itoa(int(addr.Port())), "-bind_local", "-ci", ip,
			"-trace_counts")...)
		if err != nil {
			l.close()
			return nil, err
		}
		l.connectors, l.dirs = append(l.connectors, p), append(l.dirs, dir)
	}
	if err := sleep(ctx, reporting); err != nil {
		l.close()
		return nil, err
	}
	for _, p := range l.connectors {
		if !p.Running() {
			l.close()
			return nil, fmt.Errorf("a connector has ended: %s", p.Log())
		}
	}
	return l, nil
}

func (l *sippLoad) name() string { return "sipp" }

func (l *sippLoad) close() {
	for _, p := range l.connectors {
		p.Stop()
	}
}

// block runs the load through one proxy.
func (l *sippLoad) block(ctx context.Context, p target, rate int) (block, error) {
	b := block{Proxy: p.Name, Rate: rate, At: time.Now().UTC().Format(time.RFC3339)}
	dir, err := os.MkdirTemp(l.Work, "caller-")
	if err != nil {
		return b, err
	}
	if l.restless {
		if err := l.quieten(ctx); err != nil {
			return b, err
		}
	}
	lostBefore, err := peer.ReceiveErrors()
	if err != nil {
		return b, err
	}
	againBefore, err := l.retransmissions()
	if err != nil {
		return b, err
	}
	calls := int((l.Warmup + l.Window + l.Split + tail).Seconds() * float64(rate))
	caller, err := peer.Start(l.Work, l.cpu(), dir, "sipp", append(l.mode, p.Addr.String(),
		"-sf", filepath.Join(l.Bench, "sipp", "caller.xml"), "-i", callerIP, "-p", "5060", "-bind_local", "-ci", callerIP,
		"-s", fmt.Sprintf("+%d", peer.First+l.Numbers/2), "-r", strconv.Itoa(rate), "-m", strconv.Itoa(calls), "-l", strconv.Itoa(4*rate),
		"-trace_stat", "-stf", "stat.csv", "-timeout", strconv.Itoa(calls/rate+15), "-timeout_error")...)
	if err != nil {
		return b, err
	}
	defer caller.Stop()
	if err := sleep(ctx, l.Warmup); err != nil {
		return b, err
	}
	var from, to time.Time
	used, err := l.watch(ctx, p, func() { from = time.Now() }, func() { to = time.Now() })
	if err != nil {
		return b, err
	}
	select {
	case <-caller.Exited:
	case <-ctx.Done():
		return b, ctx.Err()
	}
	if err := sleep(ctx, reporting); err != nil { // the connector's counts are a second late
		return b, err
	}

	rows, err := readTable(filepath.Join(dir, "stat.csv"))
	if err != nil {
		return b, err
	}
	b.Seconds = to.Sub(from).Seconds()
	b.Calls = int(rows.at(to, "SuccessfulCall(C)") - rows.at(from, "SuccessfulCall(C)") + 0.5)
	b.Failed = int(rows.last("FailedCall(C)"))
	b.Retransmissions = int(rows.last("Retransmissions(C)"))
	againAfter, err := l.retransmissions()
	if err != nil {
		return b, err
	}
	b.Retransmissions += againAfter - againBefore
	lostAfter, err := peer.ReceiveErrors()
	if err != nil {
		return b, err
	}
	b.Lost = lostAfter - lostBefore
	b.take(used)
	b.Void = l.void(b, calls, int(rows.last("SuccessfulCall(C)")))
	l.restless = b.Failed+b.Retransmissions > 0
	return b, nil
}

// quieten waits, but not for ever, until what was lost in the block before is no
// longer sent again: that would count against this one.
func (l *sippLoad) quieten(ctx context.Context) error {
	before := -1
	for range 10 {
		now, err := l.retransmissions()
		if err != nil || now == before {
			return err
		}
		before = now
		if err := sleep(ctx, 4*time.Second); err != nil {
			return err
		}
	}
	return nil
}

// retransmissions is how many messages came to the connectors or left them
// more than once since the start.
func (l *sippLoad) retransmissions() (int, error) {
	sum := 0
	for _, dir := range l.dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*_counts.csv"))
		if err != nil || len(files) != 1 {
			return 0, fmt.Errorf("no counts of the connector in %s", dir)
		}
		rows, err := readTable(files[0])
		if err != nil {
			return 0, err
		}
		for _, name := range rows.names {
			if strings.HasSuffix(name, "_Retrans") {
				sum += int(rows.last(name))
			}
		}
	}
	return sum, nil
}

// table is a SIPp statistics file: a row a second.
type table struct {
	names []string
	rows  [][]string
}

func readTable(path string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = ';', -1, true
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 {
		return nil, fmt.Errorf("%s has no rows yet", path)
	}
	return &table{rows[0], rows[1:]}, nil
}

func (t *table) value(row int, name string) float64 {
	for i, n := range t.names {
		if n == name && i < len(t.rows[row]) {
			v, _ := strconv.ParseFloat(t.rows[row][i], 64)
			return v
		}
	}
	return 0
}

func (t *table) last(name string) float64 { return t.value(len(t.rows)-1, name) }

// at is a cumulative value at a moment, between the rows around it.
func (t *table) at(when time.Time, name string) float64 {
	x := float64(when.UnixMicro()) / 1e6
	for i := 1; i < len(t.rows); i++ {
		x0, x1 := t.seconds(i-1), t.seconds(i)
		if x1 >= x && x1 > x0 {
			y0, y1 := t.value(i-1, name), t.value(i, name)
			return y0 + (y1-y0)*(x-x0)/(x1-x0)
		}
	}
	return t.last(name)
}

// seconds is the time of a row: "2026-01-02<TAB>15:04:05.000000<TAB>1767366245.000000".
func (t *table) seconds(row int) float64 {
	for i, n := range t.names {
		if n == "CurrentTime" {
			fields := strings.Fields(t.rows[row][i])
			if len(fields) == 0 {
				return 0
			}
			v, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
			return v
		}
	}
	return 0
}
