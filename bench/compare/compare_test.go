package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
		if got := spread(c.values); got != c.spread {
			t.Errorf("spread of %v is %q, want %q", c.values, got, c.spread)
		}
	}
	if !math.IsNaN(median(nil)) || spread(nil) != "-" {
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
	good := block{Calls: 16000, Seconds: 8}
	if why := good.why(24000, 24000, 2000); why != "" {
		t.Errorf("a good block is %q", why)
	}
	for want, b := range map[string]block{
		"failed":          {Calls: 16000, Seconds: 8, Failed: 1},
		"retransmissions": {Calls: 16000, Seconds: 8, Retransmissions: 2},
		"socket buffers":  {Calls: 16000, Seconds: 8, ReceiveErrors: 3},
		"calls/s":         {Calls: 8000, Seconds: 8},
	} {
		if why := b.why(24000, 24000, 2000); !strings.Contains(why, want) {
			t.Errorf("%+v is %q, want something about %s", b, why, want)
		}
	}
	if why := good.why(24000, 23999, 2000); why == "" {
		t.Error("a call that is missing voids the block")
	}
}

// A pair is void when either block is.
func TestPairs(t *testing.T) {
	p := pair{Blocks: map[string]block{"tandem": {Total: 60}, "kamailio": {Total: 120}}}
	if p.void() != "" || p.ratio() != 0.5 {
		t.Errorf("void %q, ratio %v", p.void(), p.ratio())
	}
	p.Blocks["kamailio"] = block{Total: 120, Void: "void: 1 calls failed"}
	if p.void() == "" {
		t.Error("a void block does not void its pair")
	}
	alone := pair{Blocks: map[string]block{"tandem": {Total: 60}}}
	if !math.IsNaN(alone.ratio()) {
		t.Error("one proxy alone has no ratio")
	}
}

// CPU of this process and of what it has started.
func TestMeasureCPU(t *testing.T) {
	before, err := measureCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
	}
	after, err := measureCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.total <= before.total {
		t.Errorf("%v of CPU after 20 ms of work, %v before", after.total, before.total)
	}
	if _, err := receiveErrors(); err != nil {
		t.Error(err)
	}
}
