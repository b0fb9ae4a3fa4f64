package load

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/bench/mmsg"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func number(call int) []byte { return fmt.Appendf(nil, "+1555%07d", call) }

// through places calls through a reflector.
func through(t *testing.T, r *reflector, cfg Config) *Generator {
	t.Helper()
	cfg.Proxy, cfg.From, cfg.Number = r.addr, loopback, number
	if cfg.Connectors == nil {
		cfg.Connectors = []netip.AddrPort{loopback}
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	r.connector = g.Connector(0)
	r.serve()
	return g
}

func run(t *testing.T, g *Generator, rate float64, calls int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := g.Run(ctx, rate, calls); err != nil {
		t.Fatal(err)
	}
}

// comes waits until something has been counted so often.
func comes(t *testing.T, w *Window, k Kind, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); w.Count(k) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d, want %d", k, w.Count(k), n)
		}
	}
}

// counted checks every count: those that are not wanted are 0.
func counted(t *testing.T, r Report, want map[Kind]int) {
	t.Helper()
	for k := range kinds {
		if got := r.Counts[k]; got != want[k] {
			t.Errorf("%s: %d, want %d", k, got, want[k])
		}
	}
	if t.Failed() {
		t.Log(r)
	}
}

const some = 10 // calls

// with is what becomes of calls that go well, but for changes.
func with(changes map[Kind]int) map[Kind]int {
	all := map[Kind]int{Begun: some, Good: some, Forwarded: some, Trying: some, Ringing: some}
	maps.Copy(all, changes)
	return all
}

// lost is with all calls failed.
func lost(changes map[Kind]int) map[Kind]int {
	all := with(map[Kind]int{Good: 0, Failed: some})
	maps.Copy(all, changes)
	return all
}

func TestFaultsAreCounted(t *testing.T) {
	type kindsOf = map[Kind]int
	for _, c := range []struct {
		name  string
		fault func(*reflector, string) []string
		want  kindsOf
	}{
		{"none", nil, with(nil)},
		{"INVITE lost", drop("INVITE"), lost(kindsOf{LostInvite: some, Forwarded: 0, Ringing: 0})},
		{"100 lost", drop("100 INVITE"), with(kindsOf{Trying: 0})},
		{"180 lost", drop("180 INVITE"), with(kindsOf{Ringing: 0, LostRinging: some})},
		{"200 lost", drop("200 INVITE"), lost(kindsOf{LostAnswer: some})},
		{"ACK lost", drop("ACK"), lost(kindsOf{LostAck: some})},
		{"BYE lost", drop("BYE"), lost(kindsOf{LostBye: some})},
		{"200 of BYE lost", drop("200 BYE"), lost(kindsOf{LostByeAnswer: some})},
		{"100 twice", twice("100 INVITE"), with(kindsOf{Duplicate: some})},
		{"180 twice", twice("180 INVITE"), with(kindsOf{Duplicate: some})},
		{"200 twice", twice("200 INVITE"), with(kindsOf{Duplicate: some})},
		{"200 of BYE twice", twice("200 BYE"), with(kindsOf{Duplicate: some})},
		{"INVITE twice", twice("INVITE"), with(kindsOf{Retransmitted: some, Duplicate: 2 * some})},
		{"ACK twice", twice("ACK"), with(kindsOf{Retransmitted: some})},
		{"BYE twice", twice("BYE"), with(kindsOf{Retransmitted: some, Duplicate: some})},
		{"error", replace("200 INVITE", "200 OK", "486 Busy Here"), lost(kindsOf{Refused: some})},
		{"error twice", instead("200 INVITE", func(msg string) []string {
			msg = strings.Replace(msg, "200 OK", "486 Busy Here", 1)
			return []string{msg, msg}
		}), lost(kindsOf{Refused: some, Duplicate: some})},
		{"error to BYE", replace("200 BYE", "200 OK", "481 Gone"), lost(kindsOf{ByeRefused: some})},
		{"no To tag", replace("200 INVITE", ";tag=c", ";other=c"), lost(kindsOf{LostAnswer: some, WrongTag: some})},
		{"other To tag", replace("200 BYE", ";tag=c", ";tag=d"), lost(kindsOf{LostByeAnswer: some, WrongTag: some})},
		{"other To tag in BYE", replace("BYE", ";tag=c", ";tag=d"), lost(kindsOf{LostBye: some, WrongTag: some})},
		{"other Call-ID", replace("180 INVITE", "Call-ID: ", "Call-ID: 7"), with(kindsOf{Ringing: 0, LostRinging: some, Stranger: some})},
		{"other CSeq", replace("200 BYE", "CSeq: 2", "CSeq: 3"), lost(kindsOf{LostByeAnswer: some, WrongCSeq: some})},
		{"other branch", replace("200 INVITE", "z9hG4bKi0", "z9hG4bKi7"), lost(kindsOf{LostAnswer: some, WrongVia: some})},
		{"Via left", replace("180 INVITE", "Via: ", "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKr\r\nVia: "), with(kindsOf{Ringing: 0, LostRinging: some, WrongVia: some})},
		{"Route left", replace("BYE", "Max-Forwards", "Route: <sip:127.0.0.1;lr>\r\nMax-Forwards"), lost(kindsOf{LostBye: some, WrongRoute: some})},
		{"body cut", instead("200 INVITE", func(msg string) []string { return []string{msg[:len(msg)-1]} }), lost(kindsOf{LostAnswer: some, Garbled: some})},
		{"no SIP", replace("180 INVITE", "SIP/2.0", "SIP/3.0"), with(kindsOf{Ringing: 0, LostRinging: some, Garbled: some})},
		{"request to the caller", replace("180 INVITE", "SIP/2.0 180 Ringing", "INFO sip:a SIP/2.0"), with(kindsOf{Ringing: 0, LostRinging: some, Unexpected: some})},
		{"180 after 200", swap("180 INVITE", "200 INVITE"), with(kindsOf{Ringing: 0, RingingLate: some})},
		{"100 after 180", swap("100 INVITE", "180 INVITE"), with(kindsOf{Trying: 0, TryingLate: some})},
		{"BYE before ACK", swap("ACK", "BYE"), with(kindsOf{AckLate: some})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{}
			if c.want[Failed] > 0 { // by time, which a busy machine needs some of
				cfg.Timeout = 2 * time.Second
			}
			g := through(t, newReflector(t, c.fault), cfg)
			w := g.Window("all")
			run(t, g, 100, some)
			for _, k := range []Kind{Duplicate, RingingLate, TryingLate} {
				comes(t, w, k, c.want[k]) // perhaps after the end of the call
			}
			r := w.Report()
			counted(t, r, c.want)
			if n := r.Forward.TotalCount(); n != int64(c.want[Forwarded]) || r.ScheduledForward.TotalCount() != n {
				t.Errorf("%d times to forward", n)
			}
			if c.want[Refused] > 0 && r.Statuses[486] != some || c.want[ByeRefused] > 0 && r.Statuses[481] != some {
				t.Errorf("statuses %v", r.Statuses)
			}
		})
	}
}

// What comes when a call has been given up is late and no success.
func TestLate(t *testing.T) {
	r := newReflector(t, func(r *reflector, msg string) []string {
		if is(msg, "200 INVITE") {
			to := r.caller
			time.AfterFunc(2500*time.Millisecond, func() { _, _ = r.conn.WriteToUDPAddrPort([]byte(msg), to) })
			return nil
		}
		return []string{msg}
	})
	g := through(t, r, Config{Timeout: 2 * time.Second})
	w := g.Window("all")
	run(t, g, 1000, some)
	comes(t, w, Late, some)
	counted(t, w.Report(), lost(map[Kind]int{LostAnswer: some, Late: some}))
}

// A stall of the schedule is in the times from it, not in those from the sending.
func TestScheduleThatStalls(t *testing.T) {
	r := newReflector(t, nil)
	g, err := New(Config{Proxy: r.addr, From: loopback, Connectors: []netip.AddrPort{loopback}, Number: func(call int) []byte {
		if call == 5 {
			time.Sleep(time.Second)
		}
		return number(call)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	r.connector = g.Connector(0)
	r.serve()
	w := g.Window("all")
	run(t, g, 100, some)
	report := w.Report()
	counted(t, report, with(nil))
	if most := time.Duration(report.ScheduledForward.Max()); most < 900*time.Millisecond {
		t.Errorf("the stall is not in what the schedule says: %v", most)
	}
	if most := time.Duration(report.Forward.Max()); most > 800*time.Millisecond {
		t.Errorf("the stall is in what was sent: %v", most)
	}
}

// A proxy that stops for a while does not stop calls from beginning.
func TestOpenLoop(t *testing.T) {
	stalled := false
	r := newReflector(t, func(_ *reflector, msg string) []string {
		if !stalled && is(msg, "INVITE") {
			stalled = true
			time.Sleep(time.Second)
		}
		return []string{msg}
	})
	g := through(t, r, Config{})
	w := g.Window("all")
	run(t, g, 100, 20)
	report := w.Report()
	if report.Counts[Good] != 20 {
		t.Error(report)
	}
	if median := time.Duration(report.Forward.ValueAtQuantile(50)); median < 100*time.Millisecond {
		t.Errorf("calls that began in the stall did not wait for its end: %v", median)
	}
}

func TestManySourcesAndConnectors(t *testing.T) {
	reached := make(map[int]int)
	r := newReflector(t, nil)
	g := through(t, r, Config{Sources: 7, Connectors: []netip.AddrPort{loopback, loopback},
		Reached: func(call, connector int) { reached[call] = connector }})
	w := g.Window("all")
	run(t, g, 2000, 200)
	report := w.Report()
	if report.Counts[Good] != 200 || len(reached) != 200 || report.Reached[0] != 200 {
		t.Error(report, len(reached))
	}
}

func TestRinging(t *testing.T) {
	g := through(t, newReflector(t, nil), Config{Ringing: 100 * time.Millisecond})
	w := g.Window("all")
	run(t, g, 1000, some)
	r := w.Report()
	counted(t, r, with(nil))
	if least := time.Duration(r.Answer.Min()); least < 99*time.Millisecond {
		t.Errorf("answered after %v", least)
	}
}

func TestRefusingConnector(t *testing.T) {
	g := through(t, newReflector(t, nil), Config{Status: 503, NoRinging: true})
	w := g.Window("all")
	run(t, g, 1000, some)
	counted(t, w.Report(), lost(map[Kind]int{Refused: some, Ringing: 0}))
}

// With Retransmit the first INVITE and the first two BYEs may be lost.
func TestRetransmit(t *testing.T) {
	times := make(map[string]int)
	r := newReflector(t, func(_ *reflector, msg string) []string {
		for method, most := range map[string]int{"INVITE": 1, "BYE": 2} {
			if _, id, _ := strings.Cut(msg, "Call-ID: "); is(msg, method) {
				times[method+id[:idLength]]++
				if times[method+id[:idLength]] <= most {
					return nil
				}
			}
		}
		if is(msg, "100 INVITE") {
			return nil // it would end timer A
		}
		return []string{msg}
	})
	g := through(t, r, Config{Retransmit: true})
	w := g.Window("all")
	run(t, g, 1000, some)
	counted(t, w.Report(), with(map[Kind]int{Trying: 0, Repeated: 3 * some}))
	if len(g.kept) != 0 {
		t.Errorf("%d requests are kept for ended calls", len(g.kept))
	}
}

// A call counts where it began.
func TestWindows(t *testing.T) {
	g := through(t, newReflector(t, nil), Config{Ringing: 200 * time.Millisecond})
	first := g.Window("first")
	done := make(chan error)
	go func() { done <- g.Run(t.Context(), 100, 1) }()
	comes(t, first, Forwarded, 1)
	second := g.Window("second")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	run(t, g, 100, 3)
	a, b := first.Report(), second.Report()
	if a.Counts[Good] != 1 || a.Counts[Begun] != 1 || b.Counts[Good] != 3 || a.Duration == 0 || a.CPU == 0 {
		t.Errorf("%v\n%v", a, b)
	}
	a.Add(b)
	if a.Counts[Good] != 4 || a.Forward.TotalCount() != 4 || a.Reached[0] != 4 {
		t.Error(a)
	}
}

// What comes of calls of windows that are forgotten counts in the newest.
func TestForget(t *testing.T) {
	g := through(t, newReflector(t, nil), Config{Ringing: 300 * time.Millisecond})
	first := g.Window("first")
	done := make(chan error)
	go func() { done <- g.Run(t.Context(), 1000, some) }()
	comes(t, first, Forwarded, some)
	second := g.Window("second")
	g.Forget()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	run(t, g, 1000, some)
	a, b := first.Report(), second.Report()
	if a.Counts[Begun] != some || a.Counts[Good] != 0 || b.Counts[Begun] != some || b.Counts[Good] != 2*some {
		t.Errorf("%v\n%v", a, b)
	}
}

// Messages of a size that go to one place leave in one send, and come as they
// were; others in order.
func TestSegments(t *testing.T) {
	from, err := listen(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer from.close()
	if !from.segmented {
		t.Skip("this kernel has no UDP_SEGMENT")
	}
	to, err := listen(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	other := hop{addr: mmsg.Address(from.addr)}
	addr := hop{addr: mmsg.Address(to.addr)}
	out := outbox{g: &Generator{}, sock: from}
	var want []string
	for i := range 200 {
		size := 900
		if i%70 > 66 {
			size = 400 + i%3
		}
		msg := fmt.Sprintf("%0*d", size, i)
		if i == 20 {
			out.put(append(out.next(), msg...), &other, nil)
			continue
		}
		want = append(want, msg)
		out.put(append(out.next(), msg...), &addr, nil)
	}
	if n := out.gather(0); n < 10 || n > 20 {
		t.Errorf("%d sends", n)
	}
	out.flush()
	in := newInbox()
	for len(want) > 0 {
		n, err := in.receive(to.fd)
		if err != nil || n == 0 {
			t.Fatalf("%d datagrams are missing: %v", len(want), err)
		}
		for i := range n {
			if string(in.data(i)) != want[0] {
				t.Fatalf("%.40q, want %.40q", in.data(i), want[0])
			}
			want = want[1:]
		}
	}
}

// Another Run takes up where the one before ended.
func TestRunAgain(t *testing.T) {
	g := through(t, newReflector(t, nil), Config{})
	w := g.Window("all")
	run(t, g, 1000, 3)
	run(t, g, 1000, 2000) // more than the ring of the first holds
	if r := w.Report(); r.Counts[Good] != 2003 {
		t.Error(r)
	}
}

// Without a proxy between, what is left is the generator's own: the floor of
// all times and of its CPU.
func TestWithoutProxy(t *testing.T) {
	probe, err := listen(loopback)
	if err != nil {
		t.Fatal(err)
	}
	connector := probe.addr
	probe.close()
	g, err := New(Config{Proxy: connector, From: loopback, Connectors: []netip.AddrPort{connector}, Number: number})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	w := g.Window("without a proxy")
	run(t, g, 2000, 2000)
	r := w.Report()
	t.Log(r)
	if r.Counts[Good] != 2000 || r.Counts[Trying] != 0 {
		t.Error("calls failed")
	}
}
