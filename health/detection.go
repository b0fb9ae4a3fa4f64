package health

import (
	"time"

	"tandem/config/catalog"
)

// Jitter is the part by which an interval between probes may be shorter or
// longer.
const Jitter = catalog.ProbeJitter

// DetectionTime is the longest time from the moment at which a host goes silent
// until it is down, as far as probes are concerned. It is 0 when probes are off:
// then no host is ever down. See catalog.Health.Detection.
func DetectionTime(set *catalog.Health) time.Duration { return set.Detection() }
