package health

import (
	"time"

	"tandem/config/catalog"
)

// Jitter is the part by which an interval between probes may be shorter or
// longer: 10 %.
const Jitter = 0.1

// DetectionTime is the longest time from the moment at which a host goes silent
// until it is down, as far as probes are concerned (a call that gets no answer
// keeps others away long before). It is 0 when probes are off: then no host is
// ever down.
//
// The worst case is a host that goes silent just after it answered. The next
// probe leaves one interval, at its longest, after the one that was answered.
// It fails after the timeout, and so do the others; each leaves one fast
// interval after the one before it, or when that one failed if this is later.
func DetectionTime(set *catalog.Health) time.Duration {
	if !set.Probe {
		return 0
	}
	between := max(longest(set.FastInterval), set.Timeout)
	return longest(set.Interval) + time.Duration(max(set.DownAfter, 1)-1)*between + set.Timeout
}

func longest(interval time.Duration) time.Duration {
	return interval + time.Duration(float64(interval)*Jitter)
}
