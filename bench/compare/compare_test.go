package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bench/peer"
)

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		median float64
		spread string
	}{
		{[]float64{3, 1, 2}, 2, "1.00 to 3.00"},
		{[]float64{4, 1, 2, 3}, 2.5, "1.00 to 4.00"},
		{[]float64{0.5}, 0.5, "0.50 to 0.50"},
	} {
		if got := median(c.values); got != c.median {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.median)
		}
		if got := spread(c.values, "%.2f"); got != c.spread {
			t.Errorf("spread of %v is %q, want %q", c.values, got, c.spread)
		}
	}
	if !math.IsNaN(median(nil)) || spread(nil, "%.2f") != "-" {
		t.Error("nothing has no median")
	}
}

// What ended between two moments inside SIPp's rows of a second.
func TestTableBetweenRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stat.csv")
	content := "CurrentTime;SuccessfulCall(C);FailedCall(C);\n" +
		"2026-01-01\t00:00:00.000000\t1000.000000;0;0;\n" +
		"2026-01-01\t00:00:01.000000\t1001.000000;100;0;\n" +
		"2026-01-01\t00:00:02.000000\t1002.000000;300;1;\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	rows, err := readTable(path)
	if err != nil {
		t.Fatal(err)
	}
	for seconds, want := range map[float64]float64{1000.5: 50, 1001: 100, 1001.5: 200, 1002: 300, 1003: 300} {
		if got := rows.at(time.UnixMicro(int64(seconds*1e6)), "SuccessfulCall(C)"); math.Abs(got-want) > 1e-6 {
			t.Errorf("at %v: %v calls, want %v", seconds, got, want)
		}
	}
	if got := rows.last("FailedCall(C)"); got != 1 {
		t.Errorf("%v failed, want 1", got)
	}
}

func TestVoidBlocks(t *testing.T) {
	good := block{Calls: 16000, Seconds: 8, Rate: 2000}
	if why := good.why(24000, 24000); why != "" {
		t.Errorf("a good block is %q", why)
	}
	for want, b := range map[string]block{
		"failed":          {Calls: 16000, Seconds: 8, Rate: 2000, Failed: 1},
		"retransmissions": {Calls: 16000, Seconds: 8, Rate: 2000, Retransmissions: 2},
		"socket buffers":  {Calls: 16000, Seconds: 8, Rate: 2000, Noise: peer.Noise{Lost: 3}},
		"calls/s":         {Calls: 8000, Seconds: 8, Rate: 2000},
	} {
		if why := b.why(24000, 24000); !strings.Contains(why, want) {
			t.Errorf("%+v is %q, want something about %s", b, why, want)
		}
	}
	if why := good.why(24000, 23999); why == "" {
		t.Error("a call that is missing voids the block")
	}
	sipgo := block{Proxy: "sipgo", Calls: 16000, Seconds: 8, Rate: 2000, Failed: 480}
	if why := sipgo.why(24000, 23520); why != "" {
		t.Errorf("sipgo with 2 %% of its calls failed is %q", why)
	}
	sipgo.Retransmissions = 1
	if why := sipgo.why(24000, 23520); why == "" {
		t.Error("sipgo may fail as it likes")
	}
	s := settings{Foreign: 0.1}
	for want, noise := range map[string]peer.Noise{"the host kept": {Stolen: 0.2}, "other processes": {Foreign: 0.2}} {
		b := good
		b.Noise = noise
		if why := s.void(b, 24000, 24000); !strings.Contains(why, want) {
			t.Errorf("%+v is %q, want something about %s", noise, why, want)
		}
	}
	good.Noise = peer.Noise{Stolen: 0.01, Foreign: 0.09}
	if why := s.void(good, 24000, 24000); why != "" {
		t.Errorf("a little noise is %q", why)
	}
}

// Time on the CPU is exact, its split by what samples say.
func TestFigures(t *testing.T) {
	b := block{Calls: 1000, Seconds: 1}
	b.take(usage{cpu: 80 * time.Millisecond, user: 30, kernel: 10})
	if b.Total != 80 || b.User != 60 || b.System != 20 {
		t.Errorf("%v", b)
	}
	b = block{Calls: 1000, Seconds: 1}
	b.take(usage{cpu: 80 * time.Millisecond})
	if b.Total != 80 || b.User != 0 || b.System != 0 {
		t.Errorf("without samples: %v", b)
	}
	b = block{}
	b.take(usage{cpu: time.Second})
	if b.Total != 0 {
		t.Errorf("without calls: %v", b)
	}
}

// Rounds go forth and back. Who is outside the core is in half of them, in both
// directions alike.
func TestOrder(t *testing.T) {
	proxies := []string{"tandem", "kamailio-1", "floor"}
	for round, want := range []string{
		"tandem kamailio-1 floor", "kamailio-1 tandem", "tandem kamailio-1", "floor kamailio-1 tandem", "tandem kamailio-1 floor",
	} {
		if got := strings.Join(order(proxies, round), " "); got != want {
			t.Errorf("round %d: %s, want %s", round, got, want)
		}
	}
	if strings.Join(proxies, " ") != "tandem kamailio-1 floor" {
		t.Error("the list itself was turned round")
	}
}

// scripted is a load whose blocks are void as often as it is told to.
type scripted struct {
	void  map[string]int
	noise int // blocks that are disturbed, at first
	seen  []string
}

func (l *scripted) name() string { return "own" }
func (l *scripted) close()       {}
func (l *scripted) block(_ context.Context, p target, rate int) (block, error) {
	l.seen = append(l.seen, p.Name)
	b := block{Proxy: p.Name, Rate: rate, Total: float64(len(l.seen))}
	if l.void[p.Name] > 0 {
		l.void[p.Name]--
		b.Void = "by script"
	}
	if l.noise > 0 {
		l.noise--
		b.Void, b.Foreign = "by others", 1
	}
	return b, nil
}

// A void block is repeated at once; who has too many is given up for good.
func TestVoidingAndRepeating(t *testing.T) {
	l := &scripted{void: map[string]int{"kamailio-1": 2, "kamailio-2": 100}}
	s := &session{settings: settings{Proxies: []string{"tandem", "kamailio-1", "kamailio-2"}, Rates: []int{500, 2000}, Rounds: 2, Voids: 2},
		out: io.Discard, progress: newProgress(time.Minute)}
	for _, name := range s.Proxies {
		s.proxies = append(s.proxies, &peer.Proxy{Name: name})
	}
	c, err := s.curve(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	const want = "tandem kamailio-1 kamailio-1 kamailio-1 kamailio-2 kamailio-2 kamailio-2 kamailio-1 tandem " +
		"tandem kamailio-1 kamailio-1 tandem"
	if got := strings.Join(l.seen, " "); got != want {
		t.Errorf("order of blocks\n%s, want\n%s", got, want)
	}
	if len(c.GivenUp) != 1 || c.GivenUp[0].Proxy != "kamailio-2" || c.GivenUp[0].Rate != 500 {
		t.Errorf("given up: %v", c.GivenUp)
	}
	checkVoids(t, c)
	noisy := &scripted{noise: 3}
	s.Disturbed, s.Rounds, s.Rates = 2, 1, s.Rates[:1]
	if c, err = s.curve(t.Context(), noisy); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(noisy.seen, " "); got != "tandem tandem tandem kamailio-1 kamailio-2" || len(c.GivenUp) != 0 || c.voids(500, "tandem") != 3 {
		t.Errorf("order of disturbed blocks %s, given up %v", got, c.GivenUp)
	}
}

func checkVoids(t *testing.T, c curve) {
	t.Helper()
	if len(c.values(500, "kamailio-1", total)) != 2 || c.voids(500, "kamailio-1") != 2 || len(c.values(500, "kamailio-2", total)) != 0 {
		t.Error("void blocks count")
	}
}

// The ratio is that of blocks of one round, and to the better of the rivals.
func TestRatios(t *testing.T) {
	c := curve{Load: "sipp", Blocks: []block{
		{Proxy: "tandem", Rate: 500, Round: 0, Total: 50}, {Proxy: "kamailio-1", Rate: 500, Round: 0, Total: 100}, {Proxy: "kamailio-2", Rate: 500, Round: 0, Total: 300},
		{Proxy: "kamailio-1", Rate: 500, Round: 1, Total: 200}, {Proxy: "tandem", Rate: 500, Round: 1, Total: 60, Void: "x"}, {Proxy: "tandem", Rate: 500, Round: 1, Total: 80},
		{Proxy: "tandem", Rate: 500, Round: 2, Total: 10}, {Proxy: "tandem", Rate: 2000, Round: 0, Total: 7},
	}}
	if best := c.better(500, rivals([]string{"tandem", "floor", "kamailio-1", "kamailio-2"})); best != "kamailio-1" {
		t.Errorf("the better rival is %q", best)
	}
	if got := fmt.Sprint(c.ratios(500, "tandem", "kamailio-1")); got != "[0.5 0.4]" {
		t.Errorf("ratios %s", got)
	}
	if best := c.better(2000, []string{"kamailio-1"}); best != "" || len(c.ratios(2000, "tandem", best)) != 0 {
		t.Errorf("without a rival there is a ratio to %q", best)
	}
}

func TestProgress(t *testing.T) {
	began := time.Now()
	p := &progress{planned: 10 * time.Minute, began: began, now: func() time.Time { return began.Add(2 * time.Minute) }}
	if left := p.left(); left != 10*time.Minute {
		t.Errorf("at the beginning %v are left", left)
	}
	p.done(time.Minute) // which took two
	if left := p.left(); left != 18*time.Minute {
		t.Errorf("%v are left, want 18m", left)
	}
	p.done(time.Hour)
	if left := p.left(); left != 0 {
		t.Errorf("after the end %v are left", left)
	}
}

// The defaults take about an hour, the quick ones about 8 minutes.
func TestPlan(t *testing.T) {
	for _, c := range []struct {
		args        []string
		least, most time.Duration
	}{
		{nil, 45 * time.Minute, 65 * time.Minute},
		{[]string{"-quick"}, 5 * time.Minute, 9 * time.Minute},
		{[]string{"-parts", "transports"}, 12 * time.Minute, 25 * time.Minute},
	} {
		s, err := parse(append(c.args, "-voids", "1"))
		if err != nil {
			t.Fatal(err)
		}
		if plan := s.plan(); plan < c.least || plan > c.most {
			t.Errorf("%v takes %v", c.args, plan)
		}
	}
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-quick", "-rates", "100, 200", "-variant", "recent_calls: off", "-load", "own", "-orders"})
	if err != nil || fmt.Sprint(s.Rates, s.Loads, s.Parts, s.Rounds) != "[100 200] [own] [orders] 1" || !slices.Contains(s.Proxies, "variant") {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"-rates=0", "-rates=x", "-transport-rates=x", "-connections=0", "-load=x", "-proxies=opensips", "-parts=", "-dialogs=x", "-rounds=0", "-precision=1", "word"} {
		if _, err := parse([]string{bad}); err == nil {
			t.Errorf("%s is no mistake", bad)
		}
	}
}

// A stage of transports has the proxies that there are over all of them, and the
// loads of the other parts are not opened for it.
func TestTransportSettings(t *testing.T) {
	s, err := parse([]string{"-parts", "transports", "-proxies", "tandem,kamailio-2,floor", "-connections", "3"})
	if err != nil {
		t.Fatal(err)
	}
	of := s.over(transports...)
	if got := strings.Join(of.Proxies, " "); got != "tandem kamailio-2 tandem-tcp kamailio-2-tcp tandem-tls kamailio-2-tls" {
		t.Error(got)
	}
	if s.Name != "transports" || len(s.stages()) != 0 || of.Sources != 3 || fmt.Sprint(of.Rates) != "[500 1000 2000]" {
		t.Errorf("%+v, stages %v", of, s.stages())
	}
	if got := fmt.Sprint(rivals(of.Proxies)); got != "[kamailio-2 kamailio-2-tcp kamailio-2-tls]" {
		t.Errorf("rivals %s", got)
	}
	if got := order(of.Proxies, 1); len(got) != 6 || got[0] != "kamailio-2-tls" {
		t.Errorf("not all are in every round: %v", got)
	}
}

func TestMarks(t *testing.T) {
	for _, c := range []struct {
		least, most float64
		want        string
	}{
		{0, 200.7, "[0 50 100 150 200]"}, {0, 9900, "[0 2000 4000 6000 8000]"}, {0, 34000, "[0 10000 20000 30000]"}, {0, 1.1, "[0 0.2 0.4 0.6000000000000001 0.8 1]"},
		{10, 300, "[10 20 50 100 200]"},
	} {
		if got := fmt.Sprint(marks(c.least, c.most)); got != c.want {
			t.Errorf("from %v to %v: %s, want %s", c.least, c.most, got, c.want)
		}
	}
}

// The report has a row for each proxy and rate, and says who was given up.
func TestReport(t *testing.T) {
	s, err := parse([]string{"-proxies", "tandem,kamailio-1,floor", "-rates", "500"})
	if err != nil {
		t.Fatal(err)
	}
	r := results{About: about{Commit: "0123", Settings: s}, Curves: []curve{{Load: "own", Blocks: []block{
		{Proxy: "tandem", Rate: 500, Total: 50, User: 20, System: 30, Generator: 40}, {Proxy: "kamailio-1", Rate: 500, Total: 100},
	}, GivenUp: []given{{"floor", 500, "too slow"}}}},
		Saturation: []saturation{{Proxy: "tandem", Rate: 9000, Sure: true, Limit: "generator", Steps: []step{{Rate: 9500, Why: "x", Proxy: 0.8, Generator: 0.99}}},
			{Proxy: "kamailio-1", Rate: 3000, Limit: "proxy"}},
		Latency: []latency{{Proxy: "tandem", Rate: 1500, Common: true, Calls: 10, Forward: []float64{50, 60, 70, 80, 90, 100}, Scheduled: []float64{51, 61, 71, 81, 91, 101}}},
		Transports: transported{
			Curve: curve{Load: "own", Blocks: []block{{Proxy: "tandem", Rate: 1000, Total: 50}, {Proxy: "tandem-tls", Rate: 1000, Total: 80, User: 30, System: 50},
				{Proxy: "kamailio-1-tls", Rate: 1000, Total: 160, User: 100, System: 60}}},
			Check: curve{Load: "sipp", Blocks: []block{{Proxy: "tandem-tcp", Rate: 1000, Total: 70}}},
		},
		Orders: []orderly{{Proxy: "tandem", Rate: 5000, Calls: 1_000_000, Overtaken: map[string]int{"ACK overtaken": 7}, Odd: "nothing"}}}
	text := r.markdown()
	for _, want := range []string{
		"commit 0123", "| 500 | 50.0 | 100.0 (kamailio-1) | 0.50 | 0.50 to 0.50 | - | - |",
		"| 500 | tandem | 1 (0) | 0 | 50.0 | 50.0 to 50.0 | 20.0 | 30.0 | 40.0 |", "given up at 500 calls/s: too slow",
		"| tandem | at least 9000 | 3.00 | generator | 80 % | 99 % |", "| Kamailio with one child | 3000 (not confirmed) | 1.00 | proxy |", "is a lower bound",
		"| tandem | 1500 | 10 | 0 | 0.050 | 0.070 | 0.080 | 0.100 | 0.081 |", "| tandem | 5000 | 1,000,000 | 0 | 0 | 0 | 7 |",
		"| TLS | 1000 | 80.0 | 30.0 | 50.0 | 160.0 (kamailio-1-tls) | 100.0 | 60.0 | 0.50 | 0.50 to 0.50 | 1.60 |", "| tandem over TCP | 1 (0) | 0 | 70.0 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := len(r.plots()); n != 4 {
		t.Errorf("%d plots", n)
	}
	for name, svg := range r.plots() {
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
			t.Errorf("%s is no SVG: %v", name, err)
		}
	}
}
