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
)

// block is one proxy under load for one window.
type block struct {
	Total           float64 `json:"us_per_call"`
	User            float64 `json:"user_us_per_call"` // split by clock ticks
	System          float64 `json:"system_us_per_call"`
	Calls           int     `json:"calls"` // that ended well within the window
	Seconds         float64 `json:"seconds"`
	Failed          int     `json:"failed"`
	Retransmissions int     `json:"retransmissions"`
	ReceiveErrors   int     `json:"udp_receive_buffer_errors"`
	Void            string  `json:"void,omitempty"` // why it does not count
	At              string  `json:"at"`
}

const sippBuffer = "4194304" // the default one holds a hundred messages

// block runs the load through one proxy.
func (s *session) block(ctx context.Context, p *proxy, rate int) (block, error) {
	b := block{At: time.Now().UTC().Format(time.RFC3339)}
	dir, err := os.MkdirTemp(s.Work, "caller-")
	if err != nil {
		return b, err
	}
	lostBefore, err := receiveErrors()
	if err != nil {
		return b, err
	}
	againBefore, err := s.connectors.retransmissions()
	if err != nil {
		return b, err
	}
	tail := time.Second
	calls := int((s.Warmup + s.Window + tail).Seconds() * float64(rate))
	caller, err := start(s.settings, s.LoadCPU, dir, "sipp", p.addr,
		"-sf", filepath.Join(s.Bench, "sipp", "caller.xml"), "-i", callerIP, "-p", "5060", "-bind_local", "-ci", callerIP,
		"-s", fmt.Sprintf("+%d", firstNum+s.Numbers/2), "-r", strconv.Itoa(rate), "-m", strconv.Itoa(calls), "-l", strconv.Itoa(4*rate),
		"-nostdin", "-buff_size", sippBuffer, "-trace_stat", "-stf", "stat.csv", "-fd", "1", "-trace_err",
		"-timeout", strconv.Itoa(calls/rate+15), "-timeout_error")
	if err != nil {
		return b, err
	}
	defer caller.stop()
	if err := sleep(ctx, s.Warmup); err != nil {
		return b, err
	}
	from := time.Now()
	before, err := measureCPU(p.pid())
	if err != nil {
		return b, err
	}
	if err := sleep(ctx, s.Window); err != nil {
		return b, err
	}
	to := time.Now()
	after, err := measureCPU(p.pid())
	if err != nil {
		return b, err
	}
	select {
	case <-caller.exited:
	case <-ctx.Done():
		return b, ctx.Err()
	}
	if err := sleep(ctx, 1500*time.Millisecond); err != nil { // the connector's counts are a second late
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
	againAfter, err := s.connectors.retransmissions()
	if err != nil {
		return b, err
	}
	b.Retransmissions += againAfter - againBefore
	lostAfter, err := receiveErrors()
	if err != nil {
		return b, err
	}
	b.ReceiveErrors = lostAfter - lostBefore

	if b.Calls > 0 {
		const tick = 10000 // microseconds
		n := float64(b.Calls)
		b.Total = float64((after.total - before.total).Microseconds()) / n
		b.User = float64(after.user-before.user) * tick / n
		b.System = float64(after.system-before.system) * tick / n
	}
	b.Void = b.why(calls, int(rows.last("SuccessfulCall(C)")), rate)
	return b, nil
}

// why says what voids a block: a proxy that loses calls is not compared.
func (b block) why(placed, succeeded, rate int) string {
	switch {
	case b.Failed > 0:
		return fmt.Sprintf("void: %d calls failed", b.Failed)
	case succeeded != placed:
		return fmt.Sprintf("void: %d of %d calls succeeded", succeeded, placed)
	case b.Retransmissions > 0:
		return fmt.Sprintf("void: %d retransmissions", b.Retransmissions)
	case b.ReceiveErrors > 0:
		return fmt.Sprintf("void: %d datagrams lost in socket buffers", b.ReceiveErrors)
	}
	if got := float64(b.Calls) / b.Seconds; got < 0.97*float64(rate) {
		return fmt.Sprintf("void: only %.0f calls/s", got)
	}
	return ""
}

// connectors are the two SIPp connectors of a session.
type connectors struct {
	processes []*process
	dirs      []string
}

func startConnectors(ctx context.Context, s settings) (*connectors, error) {
	c := &connectors{}
	for _, ip := range []string{firstIP, secondIP} {
		dir, err := os.MkdirTemp(s.Work, "connector-")
		if err != nil {
			return nil, err
		}
		p, err := start(s, s.LoadCPU, dir, "sipp",
			"-sf", filepath.Join(s.Bench, "sipp", "connector.xml"), "-i", ip, "-p", "5060", "-bind_local", "-ci", ip,
			"-nostdin", "-buff_size", sippBuffer, "-trace_counts", "-fd", "1", "-trace_err")
		if err != nil {
			c.stop()
			return nil, err
		}
		c.processes, c.dirs = append(c.processes, p), append(c.dirs, dir)
	}
	if err := sleep(ctx, 1500*time.Millisecond); err != nil {
		c.stop()
		return nil, err
	}
	for _, p := range c.processes {
		if !p.running() {
			text, _ := os.ReadFile(p.log)
			c.stop()
			return nil, fmt.Errorf("a connector has ended: %s", text)
		}
	}
	return c, nil
}

func (c *connectors) stop() {
	for _, p := range c.processes {
		p.stop()
	}
}

// retransmissions is how many messages came to the connectors or left them
// more than once since the start.
func (c *connectors) retransmissions() (int, error) {
	sum := 0
	for _, dir := range c.dirs {
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
