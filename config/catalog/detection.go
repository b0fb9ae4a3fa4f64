package catalog

import (
	"fmt"
	"strings"
	"time"
)

// ProbeJitter is the part by which an interval between probes may be shorter or
// longer: 10 %.
const ProbeJitter = 0.1

// Detection is the longest time from the moment at which a host goes silent
// until it is down, as far as probes are concerned (a call that gets no answer
// keeps others away long before). It is 0 when probes are off: then no host is
// ever down.
//
// The worst case is a host that goes silent just after it answered. The next
// probe leaves one interval, at its longest, after the one that was answered.
// It fails after the timeout, and so do the others; each leaves one fast
// interval after the one before it, or when that one failed if this is later.
func (h Health) Detection() time.Duration {
	if !h.Probe {
		return 0
	}
	return longest(h.Interval) + time.Duration(max(h.DownAfter, 1)-1)*h.between() + h.Timeout
}

// DetectionSum says how Detection comes about, by the keys of a health block.
func (h Health) DetectionSum() string {
	jitter := fmt.Sprintf("%.0f %%", 100*ProbeJitter)
	var b strings.Builder
	fmt.Fprintf(&b, "interval %s + %s of jitter", Duration(h.Interval), jitter)
	if more := max(h.DownAfter, 1) - 1; more > 0 {
		each := "fast_interval " + Duration(h.FastInterval) + " + " + jitter
		if h.between() == h.Timeout {
			each = "timeout " + Duration(h.Timeout)
		}
		fmt.Fprintf(&b, ", then %d times %s (down_after %d)", more, each, h.DownAfter)
	}
	return b.String() + ", then timeout " + Duration(h.Timeout)
}

// between is the longest time between two probes of a host that does not answer.
func (h Health) between() time.Duration { return max(longest(h.FastInterval), h.Timeout) }

func longest(interval time.Duration) time.Duration {
	return interval + time.Duration(float64(interval)*ProbeJitter)
}
